// Datasets while somebody types: a list under the field, by the pattern of a combobox. The arrows choose, Enter opens
// what is chosen or searches for what was typed, Escape closes. Without it the field is a form that searches.

import { count, h, plural } from "./say.js";

const PAUSE_MS = 150;
const LEAST = 2;

export class Suggest {
  #asked = 0;
  #rows = [];
  #chosen = -1;

  constructor(input) {
    this.input = input;
    const id = `${input.id}-list`;
    this.list = h("ul.suggestions", { id, role: "listbox", "aria-label": "Datasets", hidden: true });
    this.said = h("span.hidden", { role: "status" });
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id, autocomplete: "off" })) {
      input.setAttribute(name, value);
    }
    input.after(this.list, this.said);
    input.addEventListener("input", () => this.#soon());
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("focusout", () => this.#close());
    // A press must not take the focus out of the field before it is a click.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
  }

  get #words() {
    return this.input.value.trim();
  }

  #soon() {
    clearTimeout(this.timer);
    this.asking?.abort();
    if (this.#words.length < LEAST) {
      this.#close();
      return;
    }
    this.timer = setTimeout(() => this.#ask(), PAUSE_MS);
  }

  async #ask() {
    const turn = ++this.#asked;
    this.asking = new AbortController();
    const words = this.#words;
    try {
      const answer = await fetch(`/ui/suggest?${new URLSearchParams({ q: words })}`, { signal: this.asking.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const { rows, more } = await answer.json();
      if (turn === this.#asked && document.activeElement === this.input) this.#show(rows, more, words);
    } catch {
      // The form works as it did: Enter searches.
      if (turn === this.#asked) this.#close();
    }
  }

  #show(rows, more, words) {
    const all = new URL(this.input.form.action);
    all.searchParams.set("q", words);
    this.#rows = [...rows.map(({ url }) => url), all.href];
    const options = rows.map((one) => [
      h("span.suggestion-name", {}, one.name, " ", h("span.mark", {}, one.kind)),
      h("span.suggestion-note", {}, one.note),
      one.text ? h("span.suggestion-text", {}, one.text) : null,
    ]);
    options.push([h("span.suggestion-all", {}, rows.length > 0 ? `All datasets with “${words}”` : `Nothing begins like “${words}”: search everywhere`)]);
    this.list.replaceChildren(...options.map((parts, i) => h("li", { role: "option", id: `${this.list.id}-${i}`, "aria-selected": "false", onclick: (event) => this.#go(i, event) }, ...parts)));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.#choose(-1);
    this.said.textContent = rows.length > 0 ? `${more ? `More than ${count(rows.length)} datasets` : plural(rows.length, "dataset")}. The arrow keys choose.` : "No dataset.";
  }

  #choose(i) {
    this.#chosen = i;
    [...this.list.children].forEach((one, at) => one.setAttribute("aria-selected", at === i ? "true" : "false"));
    if (i < 0) {
      this.input.removeAttribute("aria-activedescendant");
      return;
    }
    const one = this.list.children[i];
    this.input.setAttribute("aria-activedescendant", one.id);
    one.scrollIntoView({ block: "nearest" });
  }

  #close() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.#asked += 1;
    this.#choose(-1);
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.said.textContent = "";
  }

  #go(i, event) {
    const url = this.#rows[i];
    if (event.ctrlKey || event.metaKey) {
      window.open(url, "_blank", "noopener");
      return;
    }
    this.#close();
    location.assign(url);
  }

  #key(event) {
    const open = !this.list.hidden;
    const last = this.#rows.length - 1;
    if (event.key === "Escape" && open) {
      // Only the list closes: what was typed stays, until Escape is pressed once more.
      event.preventDefault();
      this.#close();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      if (!open) this.#soon();
      else this.#choose(this.#chosen >= last ? -1 : this.#chosen + 1);
    } else if (event.key === "ArrowUp" && open) {
      event.preventDefault();
      this.#choose(this.#chosen < 0 ? last : this.#chosen - 1);
    } else if (event.key === "Enter" && open && this.#chosen >= 0) {
      event.preventDefault();
      this.#go(this.#chosen, event);
    }
  }
}
