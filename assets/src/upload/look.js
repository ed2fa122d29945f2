// What the chosen files would be, before they are sent: columns and first rows of a table, the first lines of records.

import { h, plural } from "../say.js";
import { FORM_TOKEN } from "./api.js";

const TABLE = 1 << 20;
const LINES = 256 << 10;
const SHOWN = 3;
const CHARACTERS = 2000;

// The server looks at tables, with the same reader that checks them; what it answers is a piece of its own page.
export async function lookAtTable(file, path, rules, { token, signal }) {
  const query = new URLSearchParams({ file: path, size: file.size, ...rules });
  const body = file.slice(0, TABLE);
  const answer = await fetch(`/ui/upload/look?${query}`, { method: "POST", body, signal, headers: { [FORM_TOKEN]: token } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`The file could not be looked at: the server answered ${answer.status}.`);
  return [...new DOMParser().parseFromString(text, "text/html").body.children];
}

export async function lookAtRecords(file, path) {
  const title = h("h2", { id: "look-title" }, `What ${path} would be`);
  const section = h("section.look", { "aria-labelledby": "look-title" }, title);
  if (!/\.(ndjson|jsonl|json)$/i.test(path)) {
    section.append(h("p.hint", {}, "A table: each of its rows becomes an item. The check of the whole file tells how."));
    return [section];
  }
  const whole = file.size <= LINES;
  const lines = (await file.slice(0, LINES).text()).split("\n");
  // The last one is empty, or was cut.
  if (!whole || lines.at(-1) === "") lines.pop();
  const bad = [];
  const good = [];
  lines.forEach((line, i) => {
    try {
      const item = JSON.parse(line);
      if (good.length < SHOWN) good.push([i + 1, item]);
    } catch (error) {
      if (bad.length < 5) bad.push([i + 1, error.message]);
    }
  });
  section.append(h("p.hint", {}, `${plural(lines.length, "line")}${whole ? "" : " were looked at, the beginning of the file"}. Each line is one item.`));
  if (bad.length > 0) {
    section.append(h("div.box.warn", {}, h("p", {}, h("b", {}, "Lines would be refused.")),
      h("ul", {}, ...bad.map(([n, why]) => h("li", {}, `Line ${n}: ${why}`)))));
  }
  for (const [n, item] of good) {
    section.append(h("h3.dim", {}, `Line ${n}`), h("pre", { tabindex: "0" }, JSON.stringify(item, null, 2).slice(0, CHARACTERS)));
  }
  return [section];
}
