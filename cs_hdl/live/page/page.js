"use strict";

const byId = (id) => document.getElementById(id);
const draw = byId("draw"), pen = draw.getContext("2d", { willReadFrequently: true });
// Strokes are counted on 4 x 4 points for each pixel, as in the data that the network was trained on.
const FINE = 4;
let info = { pixels: 8, ink: 16 };
let drawing = false, asked = 0, sampleNumber = 0;

function clear() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, draw.width, draw.height);
  pen.strokeStyle = "#000";
  pen.lineWidth = draw.width / 9;
  pen.lineCap = pen.lineJoin = "round";
  byId("label").textContent = "";
}

// The box around the ink, in points of the canvas; null where there is none.
function box(data, size) {
  let left = size, right = -1, top = size, bottom = -1;
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
    if (data[4 * (y * size + x)] < 128) {
      left = Math.min(left, x); right = Math.max(right, x);
      top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
  }
  return right < 0 ? null : { left, right, top, bottom };
}

// The drawing, moved and stretched to fill the height, as counts 0..16.
function pixels() {
  const size = draw.width, data = pen.getImageData(0, 0, size, size).data, ink = box(data, size);
  const points = info.pixels * FINE, result = new Array(info.pixels * info.pixels).fill(0);
  if (ink === null) return result;
  const height = Math.max(ink.bottom - ink.top + 1, ink.right - ink.left + 1);
  const middle = (ink.left + ink.right + 1) / 2, upper = (ink.top + ink.bottom + 1) / 2 - height / 2;
  for (let v = 0; v < points; v++) for (let u = 0; u < points; u++) {
    const x = Math.floor(middle + ((u + 0.5) / points - 0.5) * height);
    const y = Math.floor(upper + (v + 0.5) / points * height);
    if (x >= 0 && x < size && y >= 0 && y < size && data[4 * (y * size + x)] < 128) {
      result[Math.floor(v / FINE) * info.pixels + Math.floor(u / FINE)]++;
    }
  }
  return result;
}

function showPixels(values) {
  const canvas = byId("pixels"), brush = canvas.getContext("2d"), size = canvas.width / info.pixels;
  values.forEach((value, i) => {
    const grey = Math.round(255 * (1 - value / info.ink));
    brush.fillStyle = `rgb(${grey},${grey},${grey})`;
    brush.fillRect((i % info.pixels) * size, Math.floor(i / info.pixels) * size, size, size);
  });
}

function bars(scores, best) {
  const low = Math.min(0, ...scores), high = Math.max(1, ...scores);
  byId("scores").replaceChildren(...scores.map((score, i) => {
    const row = document.createElement("div"), name = document.createElement("span");
    const track = document.createElement("span"), bar = document.createElement("i"), value = document.createElement("span");
    row.className = i === best ? "bar best" : "bar";
    name.textContent = i;
    bar.style.width = `${100 * (score - low) / (high - low)}%`;
    value.textContent = score;
    track.append(bar);
    row.append(name, track, value);
    return row;
  }));
}

function winners(groups) {
  byId("winners").replaceChildren(...groups.flatMap((group) => {
    const title = document.createElement("h3"), cells = document.createElement("div");
    title.textContent = `${group.name}: ${group.count.filter((n) => n > 0).length} of ${group.count.length} channels`;
    cells.className = "cells";
    const most = Math.max(1, ...group.sum);
    group.count.forEach((count, channel) => {
      const cell = document.createElement("i");
      cell.style.background = `rgba(26,95,180,${group.sum[channel] / most})`;
      cell.title = `channel ${channel}: won at ${count} of ${group.positions} positions, sum ${group.sum[channel]}`;
      cells.append(cell);
    });
    return [title, cells];
  }));
}

async function ask(values) {
  const number = ++asked;
  showPixels(values);
  try {
    const response = await fetch("api/infer", { method: "POST", body: JSON.stringify({ pixels: values }) });
    const answer = await response.json();
    if (number !== asked) return; // a newer drawing is on its way
    if (!response.ok) throw new Error(answer.error);
    byId("error").textContent = "";
    byId("digit").textContent = answer.digit;
    bars(answer.scores, answer.digit);
    winners(answer.winners);
    byId("cycles").textContent = `${answer.cycles} cycles: ${answer.microseconds} µs at ${info.clock_mhz} MHz`;
    byId("agrees").textContent = answer.agrees === null ? ""
      : answer.agrees ? "The golden model gives the same, bit for bit." : "The golden model gives something else!";
  } catch (error) {
    byId("error").textContent = error.message;
  }
}

function point(event) {
  const area = draw.getBoundingClientRect(), scale = draw.width / area.width;
  return [(event.clientX - area.left) * scale, (event.clientY - area.top) * scale];
}

draw.addEventListener("pointerdown", (event) => {
  drawing = true;
  draw.setPointerCapture(event.pointerId);
  pen.beginPath();
  pen.moveTo(...point(event));
  pen.lineTo(...point(event));
  pen.stroke();
});
draw.addEventListener("pointermove", (event) => {
  if (!drawing) return;
  pen.lineTo(...point(event));
  pen.stroke();
});
draw.addEventListener("pointerup", () => {
  drawing = false;
  ask(pixels());
});
byId("clear").addEventListener("click", () => {
  clear();
  ask(pixels());
});
byId("sample").addEventListener("click", async () => {
  const response = await fetch(`api/sample?number=${sampleNumber++}`);
  const sample = await response.json();
  clear();
  byId("label").textContent = `a ${sample.label} of the test set`;
  ask(sample.pixels);
});

(async () => {
  clear();
  info = await (await fetch("api/info")).json();
  byId("about").textContent = `${info.network}, computed by the ${info.source}; ${info.cycles_per_word} cycles an image`;
  byId("sample").hidden = !info.samples;
  ask(pixels());
})();
