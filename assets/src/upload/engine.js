// One upload of many files, from the first digest to the one revision that names them all.
//
//   waiting ─► reading ─► asking ─► sending ─► there        a file
//                 └──────────┴─────────┴────► failed        it says why; it can be tried again or left out
//
// Digests are computed ahead of sending. What the server has already is not sent, nor what arrived before the page was
// closed. Small files travel together, large ones by tus, which goes on where a connection broke. A lost network is
// waited out; so is a restart of the server. Nothing is visible to others before the last step, a commit of everything.

import * as tus from "tus-js-client";

import { FORM_TOKEN, PASSING, Refused, passing } from "./api.js";
import { MEMBER_BYTES, batch } from "./frames.js";

const SMALL = Math.min(256 << 10, MEMBER_BYTES);
const BATCH_BYTES = 8 << 20;
const BATCH_FILES = 1000;
const ASKED_AT_ONCE = 1000;
const LANES = 3;
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15000];

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Engine extends EventTarget {
  #queue = []; // digest known, to be asked about or sent
  #stop = new AbortController();
  #wake = [];
  #checked = new Map(); // upload of an earlier page → whether the server still has it

  // items: {path, file}; page: {version, project}; no version where a new dataset is made; digests and arrived: what is
  // remembered of files and of what was sent.
  // kind: of a table or records each file has an upload of its own, which the check then reads.
  constructor({ items, api, hashing, digests, arrived, page, kind = "files" }) {
    super();
    Object.assign(this, { api, hashing, digests, arrived, page, kind });
    this.items = items.map(({ path, file }) => ({ path, file, state: "waiting", read: 0, sent: 0, sha256: null, upload: null, skipped: null, why: null }));
    this.bytes = items.reduce((sum, { file }) => sum + file.size, 0);
    this.paused = false;
    this.away = null;
    this.moved = 0; // bytes that went over the network
  }

  // Where bytes are counted for; of a version that is there the server knows it.
  get #in() {
    return this.page.project ? `?project=${encodeURIComponent(this.page.project)}` : "";
  }

  get done() {
    return this.items.filter(({ state }) => state === "there").length;
  }

  get failed() {
    return this.items.filter(({ state }) => state === "failed");
  }

  // How many did not have to travel.
  get skipped() {
    return this.items.filter(({ state, skipped }) => state === "there" && skipped).length;
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }

  #set(item, state, why = null) {
    item.state = state;
    item.why = why;
    if (state === "there") item.sent = item.file.size;
    this.tell();
  }

  // Pausing ends what is under way; tus keeps what arrived, a batch begins again.
  pause() {
    this.paused = true;
    this.#stop.abort();
    this.tell();
  }

  resume() {
    this.paused = false;
    this.#stop = new AbortController();
    for (const go of this.#wake.splice(0)) go();
    this.tell();
  }

  cancel() {
    this.cancelled = true;
    this.pause();
    for (const go of this.#wake.splice(0)) go();
  }

  #allowed() {
    if (this.cancelled) throw new DOMException("Cancelled", "AbortError");
    return this.paused ? new Promise((resolve) => this.#wake.push(resolve)).then(() => this.#allowed()) : undefined;
  }

  // Repeat what failed for a reason that passes, for as long as the page is open.
  async #patiently(work) {
    for (let attempt = 0; ; attempt++) {
      await this.#allowed();
      try {
        const found = await work(this.#stop.signal);
        if (this.away) {
          this.away = null;
          this.tell();
        }
        return found;
      } catch (error) {
        if (this.cancelled) throw error;
        if (this.paused || this.#stop.signal.aborted) continue;
        if (!passing(error)) throw error;
        this.away = error.status === 0 || !(error instanceof Refused) ? "away" : error.message;
        this.tell();
        await this.#soon(PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)]);
      }
    }
  }

  #soon(ms) {
    return new Promise((resolve) => {
      const go = () => {
        clearTimeout(timer);
        removeEventListener("online", go);
        resolve();
      };
      const timer = setTimeout(go, ms);
      addEventListener("online", go);
      this.#wake.push(go);
    });
  }

  tryNow() {
    for (const go of this.#wake.splice(0)) go();
  }

  // Until every file is there or failed.
  async transfer() {
    const todo = this.items.filter(({ state }) => state !== "there");
    for (const item of todo) this.#set(item, "waiting");
    let next = 0;
    const readers = Array.from({ length: this.hashing.count * 2 }, async () => {
      while (next < todo.length && !this.cancelled) {
        const item = todo[next++];
        await this.#read(item);
      }
    });
    const ended = Promise.all(readers).then(() => {
      this.readAll = true;
    });
    this.readAll = false;
    const lanes = Array.from({ length: LANES }, () => this.#lane());
    await Promise.all([ended, ...lanes]);
    await this.digests.save();
    if (this.cancelled) throw new DOMException("Cancelled", "AbortError");
  }

  async #read(item) {
    try {
      let sha256 = this.digests.get(item);
      if (!sha256) {
        await this.#allowed();
        this.#set(item, "reading");
        sha256 = await this.hashing.digest(item.file, (read) => {
          item.read = read;
          this.tell();
        });
        await this.digests.add(item, sha256);
      }
      item.sha256 = sha256;
      this.#set(item, "asking");
      this.#queue.push(item);
      // No further ahead than a lane can follow: whoever pauses does not want the disk to go on.
      while (this.#queue.length > 20 * BATCH_FILES && !this.cancelled) await new Promise((resolve) => setTimeout(resolve, 50));
    } catch (error) {
      if (this.cancelled) return;
      this.#set(item, "failed", `It could not be read: ${error.message}. Was it moved or changed?`);
    }
  }

  async #lane() {
    try {
      for (;;) {
        await this.#allowed();
        const some = await this.#some();
        if (some.length === 0) {
          if (this.readAll && this.#queue.length === 0) return;
          await new Promise((resolve) => setTimeout(resolve, 20));
          continue;
        }
        const rest = await this.#recall(some);
        if (this.kind === "files") await this.#sendAll(await this.#ask(rest));
        else for (const item of rest) await this.#sendLarge(item);
      }
    } catch (error) {
      if (!this.cancelled) throw error;
    }
  }

  // The next ones to ask about: a batch's worth, less only when no more are coming soon.
  async #some() {
    const enough = () => this.#queue.length >= BATCH_FILES || this.#queue.some(({ file }) => file.size > SMALL) || this.readAll;
    for (let waited = 0; !enough() && waited < 500; waited += 50) await new Promise((resolve) => setTimeout(resolve, 50));
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < ASKED_AT_ONCE && (count === 0 || bytes + this.#queue[count].file.size <= BATCH_BYTES)) {
      bytes += this.#queue[count].file.size;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  // Those of the items that did not arrive before. What did is named by its upload: nobody else knows that it is here.
  async #recall(items) {
    const rest = [];
    for (const item of items) {
      const upload = this.arrived.get(item.sha256);
      if (upload && (await this.#isThere(upload))) {
        item.upload = upload;
        item.skipped ??= true;
        this.#set(item, "there");
      } else rest.push(item);
    }
    return rest;
  }

  #isThere(upload) {
    if (!this.#checked.has(upload)) this.#checked.set(upload, this.#look(upload));
    return this.#checked.get(upload);
  }

  async #look(upload) {
    try {
      const { state } = await this.#patiently((signal) => this.api.send("GET", `/uploads/${upload}`, null, { signal }));
      if (state === "finished") return true;
    } catch (error) {
      if (this.cancelled) throw error;
      if (![404, 410].includes(error.status)) return false;
    }
    await this.arrived.drop(upload);
    return false;
  }

  // What was taken to be there may be gone after days of waiting; all of it is asked about again.
  doubt() {
    this.#checked.clear();
    for (const item of this.items) if (item.state === "there") Object.assign(item, { state: "waiting", upload: null });
  }

  async #ask(items) {
    if (items.length === 0) return items;
    const digests = [...new Set(items.map(({ sha256 }) => `sha256:${sha256}`))];
    let known;
    try {
      const said = await this.#patiently((signal) => this.api.call("POST", "/contents/known", { sha256: digests }, { signal }));
      known = new Set(said.known);
    } catch (error) {
      for (const item of items) this.#set(item, "failed", error.message);
      return [];
    }
    for (const item of items) {
      if (!known.has(`sha256:${item.sha256}`)) continue;
      item.skipped ??= true;
      this.#set(item, "there");
    }
    return items.filter(({ state }) => state === "asking");
  }

  async #sendAll(items) {
    const small = items.filter(({ file }) => file.size <= SMALL);
    // The small ones first: they are there in a moment, and wait for nobody.
    if (small.length > 0) await this.#sendBatch(small);
    for (const item of items) if (item.file.size > SMALL) await this.#sendLarge(item);
  }

  async #sendBatch(items) {
    for (const item of items) this.#set(item, "sending");
    // Twins travel once.
    const firsts = [...new Map(items.map((item) => [item.sha256, item])).values()];
    const body = batch(firsts);
    let before = 0;
    try {
      const made = await this.#patiently((signal) => {
        this.moved -= before;
        before = 0;
        return this.api.send("PUT", `/packs${this.#in}`, body, {
          type: "application/vnd.entrepot.frames",
          signal,
          progress: (loaded) => {
            this.moved += loaded - before;
            before = loaded;
            this.tell();
          },
        });
      });
      await this.#remember(made.upload.id, items);
    } catch (error) {
      if (this.cancelled) throw error;
      await this.#blame(items, error);
    }
  }

  async #remember(upload, items) {
    this.#checked.set(upload, true);
    await this.arrived.add(upload, [...new Set(items.map(({ sha256 }) => sha256))]);
    for (const item of items) {
      Object.assign(item, { upload, skipped: false });
      this.#set(item, "there");
    }
  }

  // A batch is taken whole or not at all; the answer names what was wrong with it, and the rest goes without that.
  async #blame(items, error) {
    if (items.length === 1) {
      this.#failed(items[0], error);
      return;
    }
    const middle = items.length >> 1;
    for (const half of [items.slice(0, middle), items.slice(middle)]) await this.#sendBatch(half);
  }

  #failed(item, error) {
    const changed = error.code === "digest_mismatch";
    // What is remembered of it is of no use if it is another file now.
    if (changed) this.digests.drop(item);
    const missing = error.status === 0 || /NotReadable|NotFound/.test(error.name ?? "");
    let why = error.message;
    if (changed) why = "It changed while it was being sent. Try again.";
    else if (missing) why = "It cannot be read any more. Was it moved or changed?";
    this.#set(item, "failed", why);
  }

  async #sendLarge(item) {
    this.#set(item, "sending");
    try {
      const { id, forget } = await this.#patiently((signal) => this.#tus(item, signal));
      await this.#remember(id, [item]);
      await forget();
    } catch (error) {
      if (this.cancelled) throw error;
      this.#failed(item, error);
    }
  }

  // Answers with the upload, and with what forgets its address, for when it is remembered otherwise.
  #tus(item, signal) {
    return new Promise((resolve, reject) => {
      let last = item.sent;
      const upload = new tus.Upload(item.file, {
        endpoint: "/api/v1/uploads",
        metadata: {
          filename: item.path.split("/").pop(),
          filetype: item.file.type || "application/octet-stream",
          ...(this.page.project ? { project: this.page.project } : {}),
          sha256: `sha256:${item.sha256}`,
        },
        // Under it the address of the upload is kept, so that it goes on after a reload. Equal files at two places travel
        // each for itself: one upload has one sender.
        fingerprint: async () => `entrepot ${this.page.project ?? ""} ${item.sha256} ${item.path}`,
        removeFingerprintOnSuccess: false,
        // Waiting and trying again are the same for everything here.
        retryDelays: null,
        headers: { [FORM_TOKEN]: this.api.token },
        // An upload that cannot be asked for now is not gone: another one would begin with its first byte.
        onAfterResponse: (request, answer) => {
          const status = answer.getStatus();
          if (request.getMethod() === "HEAD" && (status === 401 || PASSING.includes(status))) throw new Refused(status, null);
        },
        onProgress: (sent) => {
          if (sent > last) this.moved += sent - last;
          last = sent;
          item.sent = sent;
          this.tell();
        },
        onError: (error) => {
          signal.removeEventListener("abort", stop);
          if (error.causingError instanceof Refused) {
            reject(error.causingError);
            return;
          }
          const answer = error.originalResponse;
          const status = answer?.getStatus() ?? 0;
          let problem = null;
          try {
            problem = JSON.parse(answer?.getBody() ?? "");
          } catch {
            problem = { detail: status ? `The server answered ${status}.` : "The server cannot be reached." };
          }
          reject(new Refused(status, problem));
        },
        onSuccess: () => {
          signal.removeEventListener("abort", stop);
          resolve({
            id: upload.url.split("?")[0].split("/").pop(),
            forget: async () => {
              for (const { urlStorageKey } of await upload.findPreviousUploads()) await upload.options.urlStorage.removeUpload(urlStorageKey);
            },
          });
        },
      });
      const stop = () => {
        upload.abort().finally(() => reject(new DOMException("Stopped", "AbortError")));
      };
      signal.addEventListener("abort", stop, { once: true });
      upload.findPreviousUploads().then((previous) => {
        if (previous.length > 0) upload.resumeFromPreviousUpload(previous[0]);
        if (!signal.aborted) upload.start();
      });
    });
  }

  // A table or records of everything that is there, and the task that checks it.
  async check({ name, description, tags, licence, project, declared }) {
    this.once ??= newKey();
    const version = {
      name,
      kind: this.kind,
      numbering: "next",
      description,
      tags: tags.split(",").map((one) => one.trim()).filter(Boolean),
      slots: this.items.filter(({ state }) => state === "there").map(({ path, upload }) => ({ file_name: path, upload })),
      ...(declared ? { declared } : {}),
      ...(project ? { project } : {}),
      ...(licence ? { licence } : {}),
    };
    const headers = { "idempotency-key": this.once };
    const made = await this.#patiently((signal) => this.api.call("POST", "/versions", version, { headers, signal }));
    const task = await this.#patiently((signal) => this.api.send("POST", `/versions/${made.id}/ingest`, null, { signal }));
    return { version: made, task };
  }

  // The task when it is over, told of on the way.
  async follow(task, told) {
    let one = task;
    while (!["done", "failed", "cancelled"].includes(one.state)) {
      told(one);
      one = await this.#patiently((signal) => this.api.send("GET", `/tasks/${task.id}?wait=2`, null, { signal }));
    }
    return one;
  }

  // One revision of everything that is there; of a new dataset, together with the dataset.
  commit({ message, name, description, tags, licence, project }) {
    const changes = this.items
      .filter(({ state }) => state === "there")
      .map(({ path, sha256, upload, file }) => ({
        op: "add",
        path,
        sha256: `sha256:${sha256}`,
        ...(upload ? { upload } : {}),
        ...(file.type ? { media_type: file.type } : {}),
      }));
    // A request that is repeated because its answer was lost does nothing twice.
    const headers = { "idempotency-key": newKey() };
    if (this.page.version) {
      return this.#patiently((signal) =>
        this.api.call("POST", `/versions/${this.page.version}/commits`, { changes, message }, { headers, signal }),
      );
    }
    const version = {
      name,
      description,
      tags: tags.split(",").map((one) => one.trim()).filter(Boolean),
      ...(project ? { project } : {}),
      ...(licence ? { licence } : {}),
    };
    return this.#patiently((signal) => this.api.call("POST", "/commits", { version, changes, message }, { headers, signal }));
  }
}
