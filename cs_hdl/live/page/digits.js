// Drawing a digit.
import { ask, byId, question, showError, showSquares } from "./results.js";

// Strokes are counted on 4 x 4 points for each pixel, as in the data that the network was trained on.
const FINE = 4;
const draw = byId("draw"), pen = draw.getContext("2d", { willReadFrequently: true });
let info = null, drawing = false, sampleNumber = 0;

export async function start(given) {
  info = given;
  byId("image").hidden = !info.samples;
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
    infer(pixels());
  });
  byId("clear").addEventListener("click", () => {
    clear();
    infer(pixels());
  });
  byId("image").addEventListener("click", () => image().catch(showError));
  clear();
  await infer(pixels());
}

async function image() {
  const sample = await question(`api/sample?number=${sampleNumber++}`);
  clear();
  byId("label").textContent = `a ${sample.label} of the test set`;
  await infer(sample.pixels);
}

function infer(values) {
  showSquares(byId("pixels"), values, info.pixels, info.ink);
  return ask(JSON.stringify({ pixels: values }));
}

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

function point(event) {
  const area = draw.getBoundingClientRect(), scale = draw.width / area.width;
  return [(event.clientX - area.left) * scale, (event.clientY - area.top) * scale];
}
