// Rows of one revision by number, fetched a page at a time and kept for a while. With a condition only those that fit
// are there, in the order in which they are found; then how many there are is known when the last was found.

import { Api, Refused } from "../upload/api.js";

const PAGE = 200;
const KEPT = 60;
const AT_ONCE = 2;

export class Rows {
  #pages = new Map();
  #wanted = new Set();
  #flying = 0;
  #found = [];
  #next = 0;
  #searching = null;

  constructor({ version, revision, where, sort, total }, { changed, busy }) {
    this.api = new Api();
    Object.assign(this, { version, revision, where, sort, changed, busy });
    this.columns = null;
    this.all = total;
    this.failure = null;
    // Whoever drags the scroll bar over millions of rows passes thousands of pages. While that goes on, only what lies
    // next to a page that is there is fetched, as for a wheel that turns; the others where the hand rests.
    this.passing = false;
  }

  // How many rows can be scrolled over now.
  get count() {
    return this.where ? this.#found.length : this.all;
  }

  get complete() {
    return !this.where || this.#next === null;
  }

  // The row at a place, or null while it is on its way.
  at(place) {
    if (this.where) return this.#found[place] ?? null;
    const page = Math.floor(place / PAGE);
    const kept = this.#pages.get(page);
    if (kept === undefined) {
      this.#wanted.add(page);
      this.#pump();
      return null;
    }
    if (kept === null) return null;
    // The page that was looked at last is the last to go.
    this.#pages.delete(page);
    this.#pages.set(page, kept);
    return kept[place - page * PAGE] ?? null;
  }

  // What was wanted for a place that is no longer looked at.
  forget() {
    this.#wanted.clear();
  }

  // Nothing moves any more: what is looked at now is to be fetched, wherever it lies.
  rest() {
    this.passing = false;
    this.#pump();
  }

  #pump() {
    for (const page of this.#wanted) {
      if (this.#flying >= AT_ONCE) return;
      if (this.passing && !this.#pages.has(page - 1) && !this.#pages.has(page + 1)) continue;
      this.#wanted.delete(page);
      if (!this.#pages.has(page)) this.#fetch(page);
    }
  }

  async #ask(first) {
    const query = new URLSearchParams({ first, limit: PAGE });
    if (this.revision) query.set("revision", this.revision);
    if (this.where) query.set("where", this.where);
    if (this.sort) query.set("sort", this.sort);
    for (;;) {
      try {
        const page = await this.api.send("GET", `/versions/${this.version}/rows?${query}`, null);
        this.columns = page.columns;
        this.failure = null;
        this.busy(null);
        return page;
      } catch (error) {
        if (!(error instanceof Refused) || error.code !== "in_progress") throw error;
        this.busy(error.message);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }

  async #fetch(page) {
    this.#pages.set(page, null);
    this.#flying += 1;
    try {
      const found = await this.#ask(page * PAGE);
      this.#pages.set(page, found.rows);
      for (const old of this.#pages.keys()) {
        if (this.#pages.size <= KEPT) break;
        if (old !== page) this.#pages.delete(old);
      }
    } catch (error) {
      this.failure = error.message;
      // Scrolling there again asks again, but not at once.
      setTimeout(() => this.#pages.delete(page), 2000);
    }
    this.#flying -= 1;
    this.changed();
    this.#pump();
  }

  // More rows that fit, until there are enough for what is to be seen.
  async search(enough) {
    if (!this.where || this.#searching || this.#next === null || this.#found.length >= enough) return;
    this.#searching = true;
    try {
      while (this.#next !== null && this.#found.length < enough) {
        const page = await this.#ask(this.#next);
        this.#found.push(...page.rows);
        this.#next = page.next;
        this.changed();
      }
    } catch (error) {
      this.failure = error.message;
      this.#next = null;
      this.changed();
    } finally {
      this.#searching = false;
    }
  }
}
