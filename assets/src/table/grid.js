// A window over rows. The table stays where it is, and scrolling changes which rows stand in it; so there are never
// more elements than fit on the screen. Browsers end at some ten million pixels: of more rows than that, the scroll bar
// moves over several at a time, and the keys still over each.

import { count, h, plural } from "../say.js";
import { Editing } from "./editing.js";
import { Rows } from "./rows.js";

const ROW = 32;
const HEAD = 52;
const MOST = 8_000_000;

export class Grid {
  constructor(root) {
    const { version, total, first, where, sort, revision, seen, editable } = root.dataset;
    this.root = root;
    this.types = [...root.querySelectorAll("thead .type")].map((one) => one.textContent);
    this.names = [...root.querySelectorAll("thead th")].slice(1).map((one) => one.firstChild.textContent);
    if (this.names.length === 0) return;
    this.sort = sort ?? "";
    this.rows = new Rows(
      { version, revision: revision ?? seen, where, sort, total: Number(total) },
      { changed: () => this.draw(), busy: (text) => this.#say(text) },
    );
    this.cursor = { row: Number(first) || 0, column: 0 };
    if (where) this.cursor.row = 0;
    this.#build(where);
    this.editing = editable === undefined ? null : new Editing(this, { version, seen: Number(seen) });
    if (this.editing) this.below.append(this.editing.bar);
    // A search begins at the top; a row that an address names is gone to.
    this.#moveTo(this.cursor.row);
    this.draw();
    this.#goByForm();
    new ResizeObserver(() => this.draw()).observe(this.view);
  }

  #build(where) {
    this.line = h("p", { role: "status" });
    this.head = h("tr", { "aria-rowindex": "1" }, h("th.num", { scope: "col" }, "Row"), ...this.names.map((name, i) => this.#heading(name, i)));
    this.body = h("tbody");
    this.table = h("table.cells", { role: "grid", "aria-label": "Rows", "aria-readonly": this.root.dataset.editable === undefined ? "true" : null, "aria-colcount": this.names.length + 1 }, h("thead", {}, this.head), this.body);
    this.space = h("div.grid-space", {}, this.table);
    this.over = 0;
    this.view = h("div.grid-view", { tabindex: "0", role: "region", "aria-label": "All rows; the arrow keys move from cell to cell", onscroll: () => this.#scrolled(), onkeydown: (event) => this.#key(event) }, this.space);
    // Not passive: where the scroll bar is coarser than rows, a turn of the wheel is counted in rows by us.
    this.view.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.whole = h("div.grid-cell", { "aria-live": "polite", tabindex: "0", role: "region", "aria-label": "The chosen cell" });
    this.below = h("div");
    this.root.replaceChildren(h("div.grid-bar", {}, this.line), this.view, this.whole, this.below);
    this.whole.textContent = "Choose a cell to see all of it.";
    this.drawn = [];
    this.where = where;
  }

  #heading(name, i) {
    const order = this.sort === name ? "ascending" : this.sort === `-${name}` ? "descending" : null;
    const type = this.types[i] ?? "";
    const plain = !type.startsWith("list") && type !== "JSON";
    const right = type === "number" || type === "whole number";
    const mark = order === "ascending" ? " ▲" : order === "descending" ? " ▼" : "";
    const words = [h("span", { text: name }), h("span", { "aria-hidden": "true", text: mark }), h("span.type", { text: type })];
    return h(
      right ? "th.num" : "th",
      { scope: "col", "aria-sort": order },
      ...(plain ? [h("button", { type: "button", title: "Sort", onclick: () => this.#order(name) }, ...words)] : words),
    );
  }

  // In an order is another address, so that it can be shared and gone back from.
  #order(name) {
    const address = new URL(location.href);
    const next = this.sort === name ? `-${name}` : this.sort === `-${name}` ? null : name;
    address.searchParams.delete("first");
    if (next) address.searchParams.set("sort", next);
    else address.searchParams.delete("sort");
    location.assign(address);
  }

  get visible() {
    return Math.max(1, Math.floor((this.view.clientHeight - HEAD) / ROW));
  }

  get #height() {
    return Math.min(MOST, HEAD + this.rows.count * ROW + ROW);
  }

  #last() {
    return Math.max(0, this.rows.count - this.visible);
  }

  // The row at the top, by where the scroll bar is; and the other way round.
  get top() {
    if (this.held !== undefined) return Math.max(0, Math.min(this.held, this.#last()));
    const room = this.#height - this.view.clientHeight;
    if (room <= 0) return 0;
    if (this.#height < MOST) return Math.min(this.#last(), Math.round(this.view.scrollTop / ROW));
    return Math.round((this.view.scrollTop / room) * this.#last());
  }

  #scrollOf(row) {
    const room = this.#height - this.view.clientHeight;
    return this.#height < MOST ? row * ROW : (row / Math.max(1, this.#last())) * room;
  }

  #scrolled() {
    if (this.moving) {
      this.moving = false;
    } else {
      this.held = undefined;
      this.rows.passing = true;
    }
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
      // A frame in which nothing was scrolled: the hand rests, however quick the screen and the server are.
      requestAnimationFrame(() => this.waiting || this.rows.rest());
    });
  }

  // Exactly to a row, also where the scroll bar is coarser than rows.
  #show(row) {
    const { top, visible } = this;
    let next = top;
    if (row < top) next = row;
    else if (row >= top + visible) next = row - visible + 1;
    if (next !== top) this.#moveTo(next);
  }

  #moveTo(row) {
    this.held = Math.max(0, Math.min(row, this.#last()));
    const scroll = this.#scrollOf(this.held);
    if (Math.abs(scroll - this.view.scrollTop) >= 1) {
      this.moving = true;
      this.view.scrollTop = scroll;
    }
  }

  #wheel(event) {
    if (this.#height < MOST || event.deltaY === 0 || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const rows = event.deltaMode === WheelEvent.DOM_DELTA_PAGE ? this.visible : event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 1 : 1 / ROW;
    this.over += event.deltaY * rows;
    const whole = Math.trunc(this.over);
    this.over -= whole;
    this.view.scrollLeft += event.deltaX;
    if (whole === 0) return;
    this.#moveTo(this.top + whole);
    this.draw();
  }

  // To a row by its number, without loading the page anew.
  goTo(row) {
    this.#moveTo(row);
    this.#choose(Math.max(0, Math.min(row, this.rows.count - 1)), this.cursor.column);
    this.view.focus();
  }

  // The form over the rows says where to begin; what else it says is another page.
  #goByForm() {
    const form = document.querySelector("form[data-rows]");
    form?.addEventListener("submit", (event) => {
      const field = (name) => form.elements[name]?.value.trim() ?? "";
      if (this.where || field("where") || field("sort") !== this.sort) return;
      event.preventDefault();
      const address = new URL(location.href);
      if (field("first")) address.searchParams.set("first", field("first"));
      else address.searchParams.delete("first");
      history.replaceState(null, "", address);
      this.goTo(Number(field("first")) || 0);
    });
  }

  draw() {
    this.space.style.height = `${this.#height}px`;
    this.table.setAttribute("aria-rowcount", this.rows.complete ? this.rows.count + 1 : -1);
    const first = this.top;
    const shown = Math.min(this.visible + 1, this.rows.count - first);
    this.rows.forget();
    this.rows.search(first + 3 * this.visible);
    while (this.drawn.length > Math.max(0, shown)) this.drawn.pop().remove();
    while (this.drawn.length < shown) {
      const row = h("tr", {}, h("th", { scope: "row" }), ...this.names.map((_, column) => h("td", { role: "gridcell", onclick: () => this.#choose(row.place, column), ondblclick: () => this.editing?.open() })));
      this.drawn.push(row);
      this.body.append(row);
    }
    for (let i = 0; i < shown; i++) this.#fill(this.drawn[i], first + i);
    this.#tell(first, shown);
    // A row that was gone to and has just come.
    if (this.untold && this.rows.at(this.cursor.row)) this.#detail();
  }

  #fill(row, place) {
    row.place = place;
    row.setAttribute("aria-rowindex", place + 2);
    const found = this.rows.at(place);
    const [number, ...cells] = row.children;
    number.textContent = found ? found.n : place;
    for (let column = 0; column < cells.length; column++) {
      const cell = cells[column];
      const chosen = place === this.cursor.row && column === this.cursor.column;
      if (chosen !== (cell.getAttribute("aria-selected") === "true")) {
        if (chosen) cell.setAttribute("aria-selected", "true");
        else cell.removeAttribute("aria-selected");
      }
      if (!found) {
        cell.className = "wait";
        cell.textContent = "…";
        continue;
      }
      const edited = this.editing?.value(found.n, column);
      const value = edited === undefined ? found.values[column] : edited;
      cell.className = `${look(value)}${edited === undefined ? "" : " edited"}`;
      cell.textContent = short(value);
    }
  }

  #tell(first, shown) {
    if (this.rows.failure) {
      this.line.textContent = this.rows.failure;
      return;
    }
    if (this.message) {
      this.line.textContent = this.message;
      return;
    }
    const last = first + Math.max(0, Math.min(shown, this.visible));
    const words = this.where
      ? this.rows.complete
        ? `${plural(this.rows.count, "row fits", "rows fit")} of ${count(this.rows.all)}`
        : `${count(this.rows.count)} rows that fit so far, of ${count(this.rows.all)}`
      : `${plural(this.rows.count, "row")}, ${plural(this.names.length, "column")}`;
    this.line.textContent = shown > 0 ? `${words} · ${count(first)} to ${count(last - 1)}` : words;
  }

  #say(text) {
    this.message = text;
    if (text) this.line.textContent = text;
  }

  #choose(row, column) {
    this.cursor = { row, column };
    this.#show(row);
    this.untold = true;
    this.draw();
    this.#detail();
  }

  // All of the chosen cell, as soon as its row is there.
  #detail() {
    const { row, column } = this.cursor;
    const found = this.rows.at(row);
    if (!found) return;
    this.untold = false;
    const edited = this.editing?.value(found.n, column);
    const value = edited === undefined ? found.values[column] : edited;
    this.whole.replaceChildren(h("strong", {}, `${this.names[column]}, row ${found.n}: `), value === null ? "empty" : long(value));
    const cell = this.drawn.find((one) => one.place === row)?.children[column + 1];
    if (cell) {
      const left = cell.offsetLeft;
      const edge = this.drawn[0].firstChild.offsetWidth;
      if (left - edge < this.view.scrollLeft) this.view.scrollLeft = left - edge;
      else if (left + cell.offsetWidth > this.view.scrollLeft + this.view.clientWidth) this.view.scrollLeft = left + cell.offsetWidth - this.view.clientWidth;
    }
    this.editing?.chosen(found, column);
  }

  #key(event) {
    if (event.target !== this.view) return;
    const { row, column } = this.cursor;
    const end = this.rows.count - 1;
    const far = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowDown: [row + 1, column],
      ArrowUp: [row - 1, column],
      ArrowRight: [row, column + 1],
      ArrowLeft: [row, column - 1],
      PageDown: [row + this.visible, column],
      PageUp: [row - this.visible, column],
      Home: far ? [0, 0] : [row, 0],
      End: far ? [end, this.names.length - 1] : [row, this.names.length - 1],
    };
    if (event.key === "Enter" || event.key === "F2") {
      if (this.editing) {
        event.preventDefault();
        this.editing.open();
      }
      return;
    }
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    this.#choose(Math.max(0, Math.min(end, move[0])), Math.max(0, Math.min(this.names.length - 1, move[1])));
  }
}

function look(value) {
  if (value === null) return "null";
  if (typeof value === "number") return "num";
  return typeof value === "object" ? "json" : "";
}

function short(value) {
  if (value === null) return "empty";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}

function long(value) {
  return typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
}
