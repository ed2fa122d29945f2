// What outlives the page: digests of files that were read, which upload was under way, and what of it has arrived. In
// IndexedDB, because digests of a hundred thousand files are more than the other storage takes. Where a browser keeps
// nothing (private windows of some), everything works and nothing is remembered.

const NAME = "entrepot-upload";

function open() {
  return new Promise((resolve) => {
    let asked;
    try {
      asked = indexedDB.open(NAME, 1);
    } catch {
      resolve(null);
      return;
    }
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("digests");
      asked.result.createObjectStore("runs");
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => resolve(null);
  });
}

const database = open();

async function using(store, mode, work) {
  const db = await database;
  if (!db) return undefined;
  return new Promise((resolve) => {
    const transaction = db.transaction(store, mode);
    const asked = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onerror = () => resolve(undefined);
    transaction.onabort = () => resolve(undefined);
  });
}

export const run = {
  get: (version) => using("runs", "readonly", (store) => store.get(version)),
  put: (version, value) => using("runs", "readwrite", (store) => store.put(value, version)),
  remove: (version) => using("runs", "readwrite", (store) => store.delete(version)),
};

// A file that has the same path, size and time of change is the same: what every tool that synchronises assumes.
export function keyOf({ path, file }) {
  return `${path}\n${file.size}\n${file.lastModified}`;
}

export class Digests {
  #known = new Map();
  #fresh = 0;

  static async load(version) {
    const made = new Digests();
    made.version = version;
    const kept = await using("digests", "readonly", (store) => store.get(version));
    if (kept) made.#known = kept;
    return made;
  }

  get(item) {
    return this.#known.get(keyOf(item));
  }

  async add(item, sha256) {
    this.#known.set(keyOf(item), sha256);
    this.#fresh += 1;
    // A big file is kept at once; small ones together, ever more of them, since all are written each time.
    if (this.#fresh >= Math.max(500, this.#known.size / 4) || item.file.size > 64 << 20) await this.save();
  }

  drop(item) {
    this.#known.delete(keyOf(item));
    this.#fresh += 1;
  }

  async save() {
    if (this.#fresh === 0) return;
    this.#fresh = 0;
    await using("digests", "readwrite", (store) => store.put(this.#known, this.version));
  }

  forget() {
    return using("digests", "readwrite", (store) => store.delete(this.version));
  }
}

// Which finished upload has which content: until a commit names it, only its sender can say that it is here. Each
// upload is kept for itself, since a batch ends every moment and may not cost as much as all before it.
export class Arrived {
  #uploads = new Map(); // sha256 → upload

  static async load(version) {
    const made = new Arrived();
    made.version = version;
    for (const { upload, sha256s } of (await using("digests", "readonly", (store) => store.getAll(made.#range))) ?? []) {
      for (const one of sha256s) made.#uploads.set(one, upload);
    }
    return made;
  }

  // Of all keys that begin so: an array sorts behind every text.
  get #range() {
    return IDBKeyRange.bound(["arrived", this.version], ["arrived", this.version, []]);
  }

  get(sha256) {
    return this.#uploads.get(sha256);
  }

  async add(upload, sha256s) {
    for (const one of sha256s) this.#uploads.set(one, upload);
    await using("digests", "readwrite", (store) => store.put({ upload, sha256s }, ["arrived", this.version, upload]));
  }

  async drop(upload) {
    for (const [sha256, one] of this.#uploads) if (one === upload) this.#uploads.delete(sha256);
    await using("digests", "readwrite", (store) => store.delete(["arrived", this.version, upload]));
  }

  forget() {
    this.#uploads.clear();
    return using("digests", "readwrite", (store) => store.delete(this.#range));
  }
}
