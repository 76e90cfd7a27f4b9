// Saying a word: with the microphone, from a file, or a clip of the test split. All end as one second of samples.
import { ask, byId, question, showError, showSquares } from "./results.js";

// A recording is longer than the second that is taken from it, since nobody speaks at once.
const RECORDED_MS = 1600;
const LARGEST_FILE = 20e6;
let info = null, sampleNumber = 0;

export async function start(given) {
  info = given;
  const words = info.classes.filter((name) => name !== "silence" && name !== "unknown");
  byId("words").textContent = `One of: ${words.join(", ")}. Of more than a second, the loudest second is taken.`;
  byId("axes").textContent = `${info.bands} bands, low ones below; ${info.frames} moments of the second, from the left; `
    + "the darker, the louder.";
  byId("clip").hidden = !info.samples;
  byId("record").addEventListener("click", () => attempt(record));
  byId("clip").addEventListener("click", () => attempt(() => clip(true)));
  byId("file").addEventListener("change", () => attempt(file));
  // A browser plays nothing before the first click.
  if (info.samples) await attempt(() => clip(false));
}

async function attempt(work) {
  try {
    byId("error").textContent = "";
    await work();
  } catch (error) {
    showError(error);
  }
}

async function clip(play) {
  const sample = await question(`api/sample?number=${sampleNumber++}`);
  const bytes = Uint8Array.from(atob(sample.samples), (character) => character.charCodeAt(0));
  const from = sample.start ? `, from ${sample.start.toFixed(2)} s on` : "";
  await infer(bytes, `A clip of “${sample.label}” (${info.clips}: ${sample.name}${from})`, play);
}

async function file() {
  const [chosen] = byId("file").files;
  byId("file").value = ""; // the same file can be chosen again
  if (!chosen) return;
  if (chosen.size > LARGEST_FILE) throw new Error(`${chosen.name}: too large; some seconds of sound are enough`);
  await infer(toBytes(oneSecond(await decoded(await chosen.arrayBuffer(), chosen.name))), chosen.name, true);
}

async function record() {
  if (!navigator.mediaDevices) {
    throw new Error("The browser gives its microphone only to pages of this machine (127.0.0.1) or of https.");
  }
  const button = byId("record"), name = button.textContent, parts = [];
  button.disabled = true;
  try {
    // As it comes: whatever improves speech for people changes what the network was trained on.
    const plain = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    try {
      const recorder = new MediaRecorder(stream);
      const ended = new Promise((resolve) => recorder.addEventListener("stop", resolve));
      recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
      recorder.addEventListener("start", () => {
        button.textContent = "Speak now";
        setTimeout(() => recorder.stop(), RECORDED_MS);
      });
      recorder.start();
      await ended;
    } finally {
      stream.getTracks().forEach((track) => track.stop());
    }
  } catch (error) {
    throw new Error(`The microphone cannot be used (${error.message}); choose a sound file instead.`);
  } finally {
    button.disabled = false;
    button.textContent = name;
  }
  const samples = await decoded(await new Blob(parts).arrayBuffer(), "the recording");
  await infer(toBytes(oneSecond(samples)), "Your recording", true);
}

async function infer(bytes, label, play) {
  const sound = byId("sound");
  byId("heard").textContent = label;
  URL.revokeObjectURL(sound.src);
  sound.src = URL.createObjectURL(new Blob([wavHeader(bytes.length), bytes], { type: "audio/wav" }));
  sound.hidden = false;
  if (play) sound.play().catch(() => {}); // it may be refused; the controls are there
  const answer = await ask(bytes);
  if (answer === null) return;
  // On a phone the scores are further down.
  byId("heard").textContent = `${label}: recognised as “${info.classes[answer.best]}”`;
  // The lowest band comes first, and belongs below.
  const rows = Array.from({ length: info.bands }, (_, band) => answer.word.slice(band * info.frames, (band + 1) * info.frames));
  showSquares(byId("features"), rows.reverse().flat(), info.frames, 255);
}

// Samples -1..1 at the network's rate (decodeAudioData resamples to its context's), the mean of all channels.
async function decoded(content, name) {
  const context = new OfflineAudioContext(1, 1, info.rate);
  let sound;
  try {
    sound = await context.decodeAudioData(content);
  } catch {
    throw new Error(`${name}: no sound that this browser can read; a WAV file is always accepted`);
  }
  const mean = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((value, i) => { mean[i] += value / sound.numberOfChannels; });
  }
  return mean;
}

// The loudest second; zeros follow what is shorter.
function oneSecond(samples) {
  const second = new Float32Array(info.rate);
  let energy = 0, most = 0, best = 0;
  for (let end = 0; end < samples.length; end++) {
    energy += samples[end] ** 2 - (end >= info.rate ? samples[end - info.rate] ** 2 : 0);
    if (end >= info.rate - 1 && energy > most) {
      most = energy;
      best = end - info.rate + 1;
    }
  }
  second.set(samples.subarray(best, best + info.rate));
  return second;
}

// 16-bit integers, the low byte first.
function toBytes(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((value, i) => {
    view.setInt16(2 * i, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true);
  });
  return new Uint8Array(view.buffer);
}

// Of one channel of 16 bits.
function wavHeader(bytes) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (place, letters) => [...letters].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // length of the format
  view.setUint16(20, 1, true); // integers
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, info.rate, true);
  view.setUint32(28, 2 * info.rate, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a sample
  view.setUint16(34, 16, true); // bits a sample
  text(36, "data");
  view.setUint32(40, bytes, true);
  return view;
}
