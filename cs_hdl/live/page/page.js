import { begin, byId, question, showError } from "./results.js";
import * as digits from "./digits.js";
import * as speech from "./speech.js";

const PARTS = { digits, speech };

(async () => {
  const info = await question("api/info");
  const summary = info.summary ? ` (${info.summary})` : "";
  byId("about").textContent =
    `${info.network}${summary}, computed by the ${info.source}; ${info.cycles_per_word} cycles an inference`;
  byId("untrained").hidden = info.trained;
  byId(info.kind).hidden = false;
  begin(info);
  await PARTS[info.kind].start(info);
})().catch(showError);
