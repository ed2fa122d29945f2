// Cells that a person changed, and the new revision that they become. A table is checked as a whole, so all of it is
// sent back: the rows as they are, with the changed ones in their places. Nobody sees anything of it before the check is
// over, and nothing changes if somebody else was faster.

import { Api } from "../upload/api.js";
import { h, plural } from "../say.js";

export class Editing {
  #edits = new Map();

  constructor(grid, { version, seen }) {
    Object.assign(this, { grid, version, seen });
    this.api = new Api();
    this.input = h("input", { type: "text", id: "grid-value", autocomplete: "off", spellcheck: "false" });
    this.label = h("label", { for: "grid-value" }, "Value");
    this.status = h("p", { role: "status" });
    this.save = h("button.primary", { type: "button", onclick: () => this.#save() }, "Save");
    this.drop = h("button", { type: "button", onclick: () => this.#forget() }, "Forget the changes");
    this.form = h(
      "form.grid-edit",
      {
        hidden: true,
        onsubmit: (event) => {
          event.preventDefault();
          this.#set(this.input.value);
        },
        onkeydown: (event) => {
          if (event.key === "Escape") this.#close();
        },
      },
      h("div", {}, this.label, this.input),
      h("button", { type: "submit" }, "Set"),
      h("button", { type: "button", onclick: () => this.#set(null) }, "Make empty"),
      h("button", { type: "button", onclick: () => this.#close() }, "Leave"),
    );
    this.pending = h("p.buttons", { hidden: true }, this.save, this.drop);
    this.bar = h("div", {}, h("p.hint", {}, "Enter or a double click changes a cell."), this.form, this.pending, this.status);
    addEventListener("beforeunload", (event) => {
      if (this.#edits.size > 0) event.preventDefault();
    });
  }

  value(n, column) {
    return this.#edits.get(n)?.get(column);
  }

  chosen(row, column) {
    this.row = row;
    this.column = column;
    if (!this.form.hidden) this.#load();
  }

  open() {
    if (!this.row) return;
    this.form.hidden = false;
    this.#load();
    this.input.focus();
    this.input.select();
  }

  #load() {
    const value = this.value(this.row.n, this.column) ?? this.row.values[this.column];
    this.label.textContent = `${this.grid.names[this.column]}, row ${this.row.n}`;
    this.input.value = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  #close() {
    this.form.hidden = true;
    this.grid.view.focus();
  }

  #set(text) {
    const column = this.grid.rows.columns[this.column];
    let value;
    try {
      value = text === null ? null : read(text, column);
    } catch (error) {
      this.status.textContent = error.message;
      return;
    }
    if (value === null && !column.nullable) {
      this.status.textContent = `Column ${column.name} may not be empty.`;
      return;
    }
    const changes = this.#edits.get(this.row.n) ?? new Map();
    if (JSON.stringify(value) === JSON.stringify(this.row.values[this.column])) changes.delete(this.column);
    else changes.set(this.column, value);
    if (changes.size > 0) this.#edits.set(this.row.n, changes);
    else this.#edits.delete(this.row.n);
    this.status.textContent = "";
    this.#tell();
    this.#close();
    this.grid.draw();
  }

  #tell() {
    const cells = [...this.#edits.values()].reduce((sum, one) => sum + one.size, 0);
    this.pending.hidden = cells === 0;
    this.save.textContent = `Save ${plural(cells, "cell")} as a new revision`;
  }

  #forget() {
    this.#edits.clear();
    this.status.textContent = "";
    this.#tell();
    this.grid.draw();
  }

  async #save() {
    this.save.disabled = true;
    this.drop.disabled = true;
    try {
      this.status.textContent = "Reading the table …";
      const body = await this.#changed();
      this.status.textContent = "Sending it …";
      const name = "table.ndjson";
      const upload = await this.api.send("PUT", `/uploads?filename=${name}`, body, { type: "application/x-ndjson" });
      this.status.textContent = "The server checks it …";
      const columns = this.grid.rows.columns.map(({ name: column, type, nullable, list, target }) => ({ name: column, type, nullable, list, target }));
      let task = await this.api.call("POST", `/versions/${this.version}/table/changes`, {
        files: [{ file_name: name, upload: upload.id }],
        replace: true,
        columns,
        expected: this.seen,
      });
      while (!["done", "failed", "cancelled"].includes(task.state)) {
        task = await this.api.send("GET", `/tasks/${task.id}?wait=20`, null);
      }
      if (task.state !== "done") {
        const link = h("a", { href: `${location.pathname}/rejects` }, "See why");
        this.status.replaceChildren("The check refused the change, and nothing changed. ", link);
        return;
      }
      this.#edits.clear();
      location.reload();
    } catch (error) {
      this.status.textContent = `${error.message} Nothing changed.`;
    } finally {
      this.save.disabled = false;
      this.drop.disabled = false;
    }
  }

  async #changed() {
    const answer = await fetch(`${location.pathname}/export?format=ndjson&revision=${this.seen}`);
    if (!answer.ok) throw new Error("The table could not be read.");
    const lines = (await answer.text()).split("\n");
    if (lines.at(-1) === "") lines.pop();
    for (const [n, changes] of this.#edits) {
      const item = JSON.parse(lines[n]);
      for (const [name, value] of Object.entries(item)) {
        // Reading and writing it would change it.
        if (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
          throw new Error(`Row ${n} has a number in ${name} that is too large for a browser. Change it with the SDK.`);
        }
      }
      for (const [column, value] of changes) item[this.grid.names[column]] = value;
      lines[n] = JSON.stringify(item);
    }
    return new Blob([lines.join("\n"), "\n"]);
  }
}

function read(text, { name, type, list }) {
  if (list || type === "JSON" || type === "ObjectLink") {
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${name} takes JSON, such as ["a", "b"].`);
    }
  }
  if (type === "Int") {
    const value = Number(text);
    if (!/^\s*-?\d+\s*$/.test(text) || !Number.isSafeInteger(value)) throw new Error(`${name} takes whole numbers.`);
    return value;
  }
  if (type === "Float") {
    const value = Number(text);
    if (text.trim() === "" || Number.isNaN(value)) throw new Error(`${name} takes numbers.`);
    return Number.isFinite(value) ? value : String(value);
  }
  if (type === "Boolean") {
    if (!/^(true|false)$/i.test(text.trim())) throw new Error(`${name} takes true or false.`);
    return text.trim().toLowerCase() === "true";
  }
  return text;
}
