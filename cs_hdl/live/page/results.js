// What is the same for all networks: the question to the server, and its answer on the page.

export const byId = (id) => document.getElementById(id);
// Above so many channels the squares are small.
const MANY = 200;
let info = null, asked = 0;

export function begin(given) {
  info = given;
  // As wide as the longest name in bold, for all rows alike.
  const longest = Math.max(...info.classes.map((name) => name.length));
  byId("scores").style.setProperty("--name", `${0.6 * longest + 0.5}rem`);
  byId("best").classList.toggle("word", longest > 1);
}

export function showError(error) {
  byId("error").textContent = error.message;
}

// GET or POST; the server's own words where it refuses.
export async function question(path, body) {
  const response = await fetch(path, body === undefined ? {} : { method: "POST", body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// Asks about one word and shows the answer; gives it back too, or null where a newer question is on its way.
export async function ask(body) {
  const number = ++asked;
  byId("results").className = "waiting";
  try {
    const answer = await question("api/infer", body);
    if (number !== asked) return null;
    byId("results").className = byId("error").textContent = "";
    byId("best").textContent = info.classes[answer.best];
    bars(answer.scores, answer.best);
    winners(answer.winners);
    const clock = `${info.clock_mhz} MHz${info.clock_built ? "" : " (assumed: no bitstream was built)"}`;
    byId("cycles").textContent = `${answer.cycles} cycles: ${answer.microseconds} µs at ${clock}`;
    byId("agrees").textContent = answer.agrees === null ? ""
      : answer.agrees ? "The golden model gives the same, bit for bit." : "The golden model gives something else!";
    return answer;
  } catch (error) {
    if (number === asked) showError(error);
    return null;
  }
}

// Squares from white (0) to black (most), row by row from above.
export function showSquares(canvas, values, columns, most) {
  const brush = canvas.getContext("2d"), size = canvas.width / columns;
  values.forEach((value, i) => {
    const grey = Math.round(255 * (1 - value / most));
    brush.fillStyle = `rgb(${grey},${grey},${grey})`;
    brush.fillRect((i % columns) * size, Math.floor(i / columns) * size, size, size);
  });
}

function bars(scores, best) {
  const low = Math.min(0, ...scores), high = Math.max(1, ...scores);
  byId("scores").replaceChildren(...scores.map((score, i) => {
    const row = document.createElement("div"), name = document.createElement("span");
    const track = document.createElement("span"), bar = document.createElement("i"), value = document.createElement("span");
    row.className = i === best ? "bar best" : "bar";
    name.textContent = info.classes[i];
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
    cells.className = group.count.length > MANY ? "cells many" : "cells";
    const most = Math.max(1, ...group.sum);
    group.count.forEach((count, channel) => {
      const cell = document.createElement("i");
      if (count > 0) cell.style.background = `rgba(26,95,180,${group.sum[channel] / most})`;
      cell.title = `channel ${channel}: won at ${count} of ${group.positions} positions, sum ${group.sum[channel]}`;
      cells.append(cell);
    });
    return [title, cells];
  }));
}
