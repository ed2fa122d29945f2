// A few workers that compute SHA-256, each one file at a time.

export class Hashing {
  #idle = [];
  #waiting = [];
  #running = new Map();
  #next = 0;

  constructor(address) {
    const count = Math.max(1, Math.min(4, (navigator.hardwareConcurrency ?? 2) - 1));
    for (let i = 0; i < count; i++) {
      const worker = new Worker(address);
      worker.onmessage = ({ data }) => this.#told(worker, data);
      worker.onerror = () => this.#told(worker, { id: worker.current, error: "The file could not be read." });
      this.#idle.push(worker);
    }
    this.count = count;
  }

  digest(file, progress = () => {}) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id: this.#next++, file, progress, resolve, reject });
      this.#start();
    });
  }

  #start() {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop();
      const job = this.#waiting.shift();
      worker.current = job.id;
      this.#running.set(job.id, job);
      worker.postMessage({ id: job.id, file: job.file });
    }
  }

  #told(worker, { id, read, sha256, error }) {
    const job = this.#running.get(id);
    if (!job) return;
    if (read !== undefined) {
      job.progress(read);
      return;
    }
    this.#running.delete(id);
    this.#idle.push(worker);
    if (error) job.reject(new Error(error));
    else job.resolve(sha256);
    this.#start();
  }

  close() {
    for (const worker of this.#idle) worker.terminate();
  }
}
