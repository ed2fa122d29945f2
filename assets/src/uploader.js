// The upload page: what a person does with files before, while and after they travel.

import { Api } from "./upload/api.js";
import { commonFolder, fromDrop, fromInput } from "./upload/collect.js";
import { Engine } from "./upload/engine.js";
import { Hashing } from "./upload/hashing.js";
import { lookAtRecords, lookAtTable } from "./upload/look.js";
import { Arrived, Digests, run } from "./upload/memory.js";
import { count, duration, h, plural, size } from "./say.js";

const SHOWN = 200;
const WORDS = {
  waiting: "waiting",
  reading: "reading",
  asking: "checking",
  sending: "sending",
  there: "there",
  failed: "failed",
};

// The worker lies beside this script.
const HASHER = document.currentScript?.src.replace(/uploader\.js.*$/, "hasher.js");

class Uploader {
  // The form works by itself, a few files at a time; here its choice of files becomes more.
  constructor(form) {
    const { version, done } = form.dataset;
    this.form = form;
    this.page = { version: version || null, done };
    this.key = version || "new";
    this.api = new Api();
    this.status = h("p.upload-status", { role: "status" });
    this.body = h("div.upload-body");
    this.host = h("div.uploader", {}, this.body, this.status);
    const plain = form.querySelector("#files");
    for (const one of [plain, form.querySelector('label[for="files"]'), document.getElementById(plain.getAttribute("aria-describedby"))]) {
      if (one) one.remove();
    }
    this.sending = form.querySelector(".buttons");
    form.insertBefore(this.host, this.sending);
    this.submit = this.sending.querySelector("button");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submitted();
    });
    form.querySelector("#path")?.addEventListener("input", () => this.example?.());
    form.addEventListener("change", (event) => {
      if (!this.items || !["kind", "null_values", "quarantine", "headless"].includes(event.target.name)) return;
      this.example();
      this.#look();
    });
    this.#welcome();
  }

  // Files, or what is checked row by row or line by line before anybody sees it.
  get #kind() {
    return this.form.querySelector("input[name=kind]:checked")?.value ?? "files";
  }

  // How a table is to be read, as the fields of the form say.
  get #rules() {
    const on = (name) => this.form.querySelector(`#${name}`)?.checked;
    return {
      ...(this.#field("null_values") ? { null_values: this.#field("null_values") } : {}),
      ...(on("quarantine") ? { quarantine: "1" } : {}),
      ...(on("headless") ? { headless: "1" } : {}),
    };
  }

  get #declared() {
    const { null_values: words, quarantine, headless } = this.#rules;
    if (this.#kind !== "table" || !(words || quarantine || headless)) return null;
    return {
      ...(words ? { null_values: words.split(",").map((one) => one.trim()).filter(Boolean) } : {}),
      ...(quarantine ? { quarantine: true } : {}),
      ...(headless ? { header: false } : {}),
    };
  }

  #field(name) {
    return this.form.querySelector(`#${name}`)?.value.trim() ?? "";
  }

  // While files travel nothing but that is to be seen of the form.
  #alone(so) {
    for (const one of this.form.children) if (one !== this.host) one.hidden = so;
  }

  // --- before ---------------------------------------------------------------------------------------------------------

  async #welcome() {
    this.last = (await run.get(this.key)) ?? null;
    this.items = null;
    this.example = null;
    this.#alone(false);
    this.submit.textContent = this.last ? "Continue the upload" : "Upload";
    this.submit.disabled = true;
    const files = h("input.hidden", { type: "file", multiple: true, id: "upload-files", onchange: () => this.#chosen(fromInput(files.files)) });
    const folder = h("input.hidden", { type: "file", webkitdirectory: true, multiple: true, id: "upload-folder", onchange: () => this.#chosen(fromInput(folder.files)) });
    const zone = h(
      "div.dropzone",
      {
        ondragover: (event) => {
          event.preventDefault();
          zone.classList.add("over");
        },
        ondragleave: () => zone.classList.remove("over"),
        ondrop: (event) => {
          event.preventDefault();
          zone.classList.remove("over");
          this.#collect(fromDrop(event.dataTransfer, (n) => this.#say(`Looking through the folder: ${plural(n, "file")} so far …`)));
        },
      },
      h("p.dropzone-title", {}, "Drag files or a folder here"),
      h("p.choices", {}, folder, h("label.button", { for: "upload-folder" }, "Choose a folder"), files, h("label.button", { for: "upload-files" }, "Choose files")),
      h("p.hint", {}, "Any number, any size. What is here already is not sent again, and a broken upload can be continued."),
    );
    this.body.replaceChildren(...(this.last ? [this.#interrupted()] : []), zone);
  }

  #interrupted() {
    const { files, bytes, name } = this.last;
    const forget = async () => {
      await run.remove(this.key);
      await this.#welcome();
    };
    return h(
      "div.box",
      { "data-continue": "" },
      h("p", {}, h("strong", {}, "An upload was interrupted here. "),
        `${plural(files, "file")}${name ? ` from “${name}”` : ""}, ${size(bytes)}. Nothing of it is lost: choose the same ${name ? "folder" : "files"} again, and only what is missing is sent.`),
      h("p", {}, h("button", { type: "button", onclick: forget }, "Forget it")),
    );
  }

  #say(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  async #collect(promise) {
    this.#say("Looking through what you dropped …");
    try {
      this.#chosen(await promise);
    } catch (error) {
      this.#say(`Something in it could not be read: ${error.message}. Try again with “Choose a folder”.`);
    }
  }

  #chosen(items) {
    if (items.length === 0) {
      this.#say("There were no files in it.");
      return;
    }
    items.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
    this.items = items;
    this.top = commonFolder(items);
    this.bytes = items.reduce((sum, { file }) => sum + file.size, 0);
    this.keep = h("input", { type: "checkbox", id: "upload-keep", onchange: () => this.example() });
    if (this.last) {
      this.keep.checked = this.last.keep;
      for (const [name, value] of Object.entries(this.last.fields)) {
        const field = this.form.querySelector(`#${name}`);
        if (field && !field.value) field.value = value;
      }
    }
    const shown = h("code");
    this.example = () => {
      shown.textContent = this.#place(items[0]);
    };
    this.example();
    this.looked = h("div", { "aria-live": "polite" });
    const other = this.last && this.last.files !== items.length;
    this.#say("");
    this.body.replaceChildren(
      h("div.box", {},
        h("h3", {}, `${plural(items.length, "file")}, ${size(this.bytes)}`),
        other ? h("p", {}, `The interrupted upload had ${plural(this.last.files, "file")}. Only what is chosen now becomes part of the dataset.`) : null,
        this.top ? h("p", {}, this.keep, h("label.plain", { for: "upload-keep" }, `Keep “${this.top}” at the beginning of each path`)) : null,
        h("p.hint", {}, "The first one will be ", shown),
        h("p", {}, h("button", { type: "button", onclick: () => this.#welcome() }, "Choose something else"))),
      this.looked,
    );
    this.submit.disabled = false;
    this.submit.focus();
    this.#look();
  }

  // The first file, by its beginning. What was asked before does not matter any more.
  async #look() {
    this.looking?.abort();
    const { signal } = (this.looking = new AbortController());
    const kind = this.#kind;
    if (kind === "files") {
      this.looked.replaceChildren();
      return;
    }
    const [{ file }] = this.items;
    const path = this.#place(this.items[0]);
    try {
      const found = kind === "table"
        ? await lookAtTable(file, path, this.#rules, { token: this.api.token, signal })
        : await lookAtRecords(file, path);
      if (!signal.aborted) this.looked.replaceChildren(...found);
    } catch (error) {
      if (!signal.aborted) this.looked.replaceChildren(h("p.hint", {}, `${error.message} The check of the whole file is what counts.`));
    }
  }

  #place({ path }) {
    if (this.#kind !== "files") return path.split("/").pop();
    const own = this.top && !this.keep.checked ? path.slice(this.top.length + 1) : path;
    const folder = this.#field("path").replace(/^\/+|\/+$/g, "");
    return folder ? `${folder}/${own}` : own;
  }

  async #submitted() {
    if (!this.items) return;
    const fields = Object.fromEntries(["path", "message", "name", "description", "tags", "licence", "project"].map((name) => [name, this.#field(name)]));
    if (!this.page.version && (await this.#taken(fields))) return;
    this.page.project = fields.project || null;
    this.fields = { ...fields, declared: this.#declared };
    this.#alone(true);
    await this.#begin(this.items.map((item) => ({ path: this.#place(item), file: item.file })), {
      files: this.items.length, bytes: this.bytes, name: this.top, keep: this.keep.checked, fields,
    });
  }

  // Better said before a long upload than after it.
  async #taken({ project, name }) {
    try {
      const found = await this.api.send("GET", `/versions?${new URLSearchParams({ project, name, limit: 1, ...(this.#kind === "files" ? {} : { ready: true }) })}`, null);
      if (found.rows.length === 0) return false;
      this.#say(`This project has a dataset “${name}” already. Choose another name, or add files to that one.`);
      return true;
    } catch {
      return false;
    }
  }

  // --- while ----------------------------------------------------------------------------------------------------------

  async #begin(items, about) {
    const twins = items.length - new Set(items.map(({ path }) => path)).size;
    if (twins > 0) {
      this.#alone(false);
      this.#say(`${plural(twins, "file")} would have the path of another one. Choose one folder at a time.`);
      return;
    }
    await run.put(this.key, about);
    this.hashing ??= new Hashing(HASHER);
    const [digests, arrived] = await Promise.all([Digests.load(this.key), Arrived.load(this.key)]);
    this.engine = new Engine({ items, api: this.api, hashing: this.hashing, digests, arrived, page: this.page, kind: this.#kind });
    this.bar = h("progress", { max: "1", "aria-label": "All files" });
    this.line = h("p.upload-line");
    this.list = h("ul.upload-files", { "aria-label": "Files", tabindex: "0" });
    this.rows = new Map();
    this.toggle = h("button", { type: "button", onclick: () => (this.engine.paused ? this.#resume() : this.engine.pause()) }, "Pause");
    this.notice = h("div");
    this.buttons = h("p.buttons", {}, this.toggle, " ", h("button", { type: "button", onclick: () => this.#cancel() }, "Cancel"));
    this.body.replaceChildren(h("h2", {}, "Uploading"), this.bar, this.line, this.notice, this.buttons, this.list);
    this.began = performance.now();
    this.samples = [];
    this.engine.addEventListener("change", () => this.#soon());
    addEventListener("beforeunload", this.#warn);
    await this.#transfer();
  }

  #warn = (event) => {
    event.preventDefault();
  };

  #resume() {
    this.samples = [];
    this.engine.resume();
  }

  async #cancel() {
    this.engine.cancel();
    removeEventListener("beforeunload", this.#warn);
    await run.remove(this.key);
    await this.#welcome();
    this.#say("Cancelled. Nothing in the dataset changed.");
  }

  async #transfer() {
    this.halted = false;
    this.ending = null;
    try {
      await this.engine.transfer();
    } catch (error) {
      if (!this.engine.cancelled) this.#stopped(error);
      return;
    }
    this.#draw();
    this.halted = true;
    if (this.engine.failed.length > 0) this.#someFailed();
    else await this.#commit();
  }

  #soon() {
    if (this.drawing) return;
    this.drawing = true;
    setTimeout(() => {
      this.drawing = false;
      this.#draw();
    }, 100);
  }

  #draw() {
    const { engine } = this;
    clearTimeout(this.later);
    if (engine.cancelled || engine.committing) return;
    if (this.halted) {
      if (this.ending) this.#say(engine.away ? this.#away : this.ending);
      return;
    }
    // Also while nothing moves: a speed that was is none that is.
    if (!engine.paused && engine.done < engine.items.length) this.later = setTimeout(() => this.#draw(), 1000);
    const sent = engine.items.reduce((sum, item) => sum + Math.min(item.sent, item.file.size), 0);
    const done = engine.done;
    // By bytes, and by files: a hundred thousand empty files are work too.
    const part = (sent + done * 1000) / (engine.bytes + engine.items.length * 1000);
    this.bar.value = part;
    const now = performance.now();
    this.samples.push([now, part, engine.moved]);
    while (this.samples.length > 2 && now - this.samples[0][0] > 10000) this.samples.shift();
    const [then, before, moved] = this.samples[0];
    const seconds = (now - then) / 1000;
    const words = [`${count(done)} of ${plural(engine.items.length, "file")}`, `${size(sent)} of ${size(engine.bytes)}`];
    if (!engine.paused && !engine.away && seconds > 1) {
      const speed = (engine.moved - moved) / seconds;
      if (speed > 0) words.push(`${size(speed)}/s`);
      const left = (1 - part) / ((part - before) / seconds);
      if (Number.isFinite(left) && part > 0.01) words.push(`${duration(left)} left`);
    }
    if (engine.skipped > 0) words.push(`${count(engine.skipped)} here already`);
    this.line.textContent = words.join(" · ");
    this.toggle.textContent = engine.paused ? "Go on" : "Pause";
    if (engine.paused) this.#say("Paused.");
    else if (engine.away) this.#say(this.#away);
    else this.#say(now - this.began > 1000 && engine.done < engine.items.length ? `Uploading, ${Math.floor((part * 100) / 10) * 10} percent done.` : "");
    this.#drawRows();
  }

  get #away() {
    const { away } = this.engine;
    return away === "away" ? "The server cannot be reached. It goes on by itself as soon as it can." : `${away} It goes on by itself.`;
  }

  // What happens now stands at the top; what is done or waits is counted, not listed.
  #drawRows() {
    const order = { failed: 0, sending: 1, reading: 2, asking: 3, there: 4, waiting: 5 };
    const buckets = [[], [], [], [], [], []];
    for (const item of this.engine.items) {
      const bucket = buckets[order[item.state]];
      if (bucket.length < SHOWN) bucket.push(item);
    }
    const shown = buckets.flat().slice(0, SHOWN);
    const rows = shown.map((item) => {
      let row = this.rows.get(item);
      if (!row) {
        row = h("li", {}, h("span.path", { text: item.path, title: item.path }), h("span.state"), h("progress", { max: "1", "aria-label": item.path }), h("span.why"));
        this.rows.set(item, row);
      }
      const done = { reading: item.read, sending: item.sent }[item.state] ?? 0;
      const part = done > 0 ? ` ${Math.floor((100 * done) / item.file.size)} %` : "";
      const [, state, bar, why] = row.children;
      row.className = item.state;
      state.textContent = `${size(item.file.size)} · ${WORDS[item.state]}${part}`;
      // What goes by in a moment needs no bar of its own.
      bar.hidden = !(item.state === "sending" || item.state === "reading") || item.file.size === 0;
      if (!bar.hidden) bar.value = done / item.file.size;
      why.textContent = item.why ?? "";
      return row;
    });
    for (const item of this.rows.keys()) if (!shown.includes(item)) this.rows.delete(item);
    const more = this.engine.items.length - shown.length;
    this.list.replaceChildren(...rows, ...(more > 0 ? [h("li.dim", {}, `and ${plural(more, "other file")}`)] : []));
  }

  // --- after ----------------------------------------------------------------------------------------------------------

  #someFailed() {
    const failed = this.engine.failed.length;
    const others = this.engine.items.length - failed;
    this.#say(`${plural(failed, "file")} could not be uploaded.`);
    this.buttons.replaceChildren(
      h("button.primary", { type: "button", onclick: () => this.#again() }, "Try these again"), " ",
      others > 0 ? h("button", { type: "button", onclick: () => this.#commit() }, `Go on without ${failed === 1 ? "it" : "them"}`) : null, " ",
      h("button", { type: "button", onclick: () => this.#cancel() }, "Cancel"),
    );
    this.notice.replaceChildren(h("p.box.bad", {}, `${plural(failed, "file")} could not be uploaded; each says why. Nothing in the dataset has changed yet.`));
  }

  async #again() {
    this.notice.replaceChildren();
    this.buttons.replaceChildren(this.toggle);
    this.samples = [];
    await this.#transfer();
  }

  async #commit() {
    const { engine } = this;
    this.bar.value = 1;
    this.buttons.replaceChildren();
    if (engine.kind !== "files") {
      await this.#check();
      return;
    }
    this.ending = "All files are there. Making one revision of them …";
    this.#say(this.ending);
    try {
      const made = await engine.commit(this.fields);
      engine.committing = true;
      removeEventListener("beforeunload", this.#warn);
      this.hashing.close();
      await Promise.all([run.remove(this.key), engine.digests.forget(), engine.arrived.forget()]);
      const fresh = engine.items.length - engine.failed.length;
      this.list.remove();
      this.line.remove();
      this.#say(`Done: ${plural(fresh, "file")}, as revision ${made.revision.number}.`);
      this.body.replaceChildren(
        h("div.box.good", { "data-done": "" },
          h("h2", {}, `Done: ${plural(fresh, "file")}, as revision ${made.revision.number}`),
          h("p", {}, engine.skipped > 0 ? `${plural(engine.skipped, "file")} did not have to be sent: their content was here already.` : "Everything was checked on arrival, byte by byte."),
          h("p", {}, h("a.button.primary", { href: this.page.done || `/ui/versions/${made.version.id}` }, "Look at the dataset"), " ",
            this.page.version ? h("button", { type: "button", onclick: () => { this.#say(""); this.#welcome(); } }, "Upload more") : null)),
      );
      this.hashing = null;
    } catch (error) {
      if (engine.cancelled) return;
      engine.doubt();
      this.#stopped(error);
    }
  }

  // Every row or line is looked at before anything is published; this goes on if the page is closed.
  async #check() {
    const { engine } = this;
    const [what, page] = engine.kind === "table" ? ["row", "table"] : ["line", "records"];
    this.ending = `All files are there. Every ${what} is being checked …`;
    this.#say(this.ending);
    try {
      const { version, task } = await engine.check(this.fields);
      engine.committing = true;
      removeEventListener("beforeunload", this.#warn);
      await Promise.all([run.remove(this.key), engine.digests.forget()]);
      this.list.remove();
      this.bar.removeAttribute("value");
      this.line.textContent = "This page can be closed: the check goes on.";
      const ended = await engine.follow(task, ({ progress }) => {
        if (progress?.total) this.bar.value = progress.done / progress.total;
      });
      const record = await this.api.send("GET", `/versions/${version.id}`, null);
      this.line.remove();
      if (ended.state === "done" && record.state === "ready") {
        await engine.arrived.forget();
        this.#checked(record, what, page);
      } else await this.#refused(record, what, page, ended);
    } catch (error) {
      if (!engine.cancelled) this.#stopped(error);
    }
  }

  #checked(record, what, page) {
    const bad = record.report?.rejected_rows ?? 0;
    const title = `Done: ${plural(record.items ?? 0, page === "table" ? "row" : "item")}`;
    this.#say(`${title}.`);
    this.hashing.close();
    this.hashing = null;
    this.body.replaceChildren(
      h("div.box", { class: `box ${bad > 0 ? "warn" : "good"}`, "data-done": "" },
        h("h2", {}, title),
        h("p", {}, bad > 0 ? `${plural(bad, what)} ${bad === 1 ? "was" : "were"} left out, as you asked.` : `Every ${what} is good.`),
        h("p.buttons", {}, h("a.button.primary", { href: `/ui/versions/${record.id}/${page}` }, page === "table" ? "Look at the rows" : "Look at the items"),
          bad > 0 ? h("a.button", { href: `/ui/versions/${record.id}/${page}/rejects` }, "What was left out") : null,
          h("a.button", { href: `/ui/versions/${record.id}` }, "About this dataset"))),
    );
  }

  // Which rows or lines, and why: the first ones here, the rest on a page of their own.
  async #refused(record, what, page, task) {
    const found = await this.api.send("GET", `/versions/${record.id}/${page === "table" ? "table/" : ""}rejects`, null).catch(() => null);
    const faults = found?.errors ?? [];
    const message = found?.message || record.report?.message || task.error?.message || "The check failed.";
    this.#say("The check refused it. Nothing was published.");
    const cell = (text, num = false) => h(num ? "td.num" : "td", {}, text);
    const rows = faults.slice(0, 20).map((one) => h("tr", {}, cell(one.part), cell(count(one.row ?? one.line), true),
      page === "table" ? cell(one.column ?? "the whole row") : null, cell(one.detail), h("td", {}, h("code", {}, one.excerpt))));
    const heads = ["File", what === "row" ? "Row" : "Line", ...(page === "table" ? ["Column"] : []), "Why", "What stood there"];
    const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((text) => h(text === "Row" || text === "Line" ? "th.num" : "th", { scope: "col" }, text)))), h("tbody", {}, ...rows));
    this.body.replaceChildren(
      h("div.box.bad", { "data-refused": "" }, h("h2", {}, "Not published"), h("p", {}, message)),
      ...(rows.length > 0 ? [h("div.scroll", { tabindex: "0", role: "region", "aria-label": "What was refused" }, table)] : []),
      h("p", {}, `Mend the file and choose it again${page === "table" ? "; or say which words mean that there is no value, or leave bad rows out" : ""}. What was sent is not sent again.`),
      h("p.buttons", {},
        h("button.primary", { type: "button", onclick: () => this.#retry(record) }, "Change something"),
        h("a.button", { href: `/ui/versions/${record.id}/${page}/rejects` }, "The whole report")),
    );
  }

  // The attempt that failed is in nobody's way; it lies in the trash for a while.
  async #retry(record) {
    this.api.call("POST", `/versions/${record.id}/trash`, { reason: "refused by its check, and sent again" }).catch(() => {});
    this.engine.cancel();
    this.#alone(false);
    this.#chosen(this.items);
  }

  // To the form again, with the same files; what was sent is known by then.
  #back() {
    this.engine.cancel();
    removeEventListener("beforeunload", this.#warn);
    this.#alone(false);
    this.#chosen(this.items);
  }

  #stopped(error) {
    const rows = (error.problem?.errors ?? []).slice(0, 20).map((one) => h("li", {}, (one.detail ?? "").includes(one.path) ? one.detail : `${one.path ?? ""} ${one.detail ?? ""}`.trim()));
    this.halted = true;
    this.ending = null;
    this.#say("The upload stopped.");
    this.notice.replaceChildren(
      h("div.box.bad", {}, h("p", {}, error.message), rows.length > 0 ? h("ul", {}, ...rows) : null,
        h("p", {}, "What was sent is kept for a while: nothing has to travel twice.")));
    this.buttons.replaceChildren(
      h("button.primary", { type: "button", onclick: () => this.#again() }, "Try again"), " ",
      h("button", { type: "button", onclick: () => this.#back() }, "Change something"), " ",
      h("button", { type: "button", onclick: () => this.#cancel() }, "Cancel"));
  }
}

for (const form of document.querySelectorAll("form[data-uploader]")) new Uploader(form);
