// Calls of the native API by a page of somebody who is signed in.

const SIGNED_OUT = "You are signed out. Sign in in another tab, load this page again and continue.";

export class Refused extends Error {
  constructor(status, problem) {
    super(status === 401 ? SIGNED_OUT : (problem?.detail ?? problem?.title ?? `The server answered ${status}.`));
    this.status = status;
    this.problem = problem;
    this.code = problem?.code ?? null;
  }
}

export const PASSING = [0, 408, 425, 429, 502, 503, 504];

// Whether the same request may be answered otherwise a moment later.
export function passing(error) {
  if (!(error instanceof Refused)) return true;
  return PASSING.includes(error.status) || error.problem?.retryable === true;
}

// What proves a request to be one of this page's, beside the session's cookie.
export const FORM_TOKEN = "entrepot-form-token";

export class Api {
  get token() {
    return document.querySelector('meta[name="form-token"]')?.content ?? "";
  }

  // XMLHttpRequest, because nothing else tells how much of a body has been sent.
  send(method, path, body, { type, headers = {}, progress, signal } = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, `/api/v1${path}`);
      request.setRequestHeader(FORM_TOKEN, this.token);
      if (type) request.setRequestHeader("content-type", type);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      if (progress) request.upload.onprogress = (event) => progress(event.loaded);
      const stop = () => request.abort();
      signal?.addEventListener("abort", stop, { once: true });
      request.onloadend = () => {
        signal?.removeEventListener("abort", stop);
        let said = null;
        try {
          said = JSON.parse(request.responseText);
        } catch {
          // No JSON: a proxy's own page, or nothing.
        }
        if (request.status >= 200 && request.status < 300) resolve(said);
        else if (signal?.aborted) reject(new DOMException("Stopped", "AbortError"));
        else if (request.status === 0) reject(new Refused(0, { detail: "The server cannot be reached." }));
        else reject(new Refused(request.status, said));
      };
      request.send(body ?? null);
    });
  }

  call(method, path, message, more = {}) {
    return this.send(method, path, JSON.stringify(message), { type: "application/json", ...more });
  }
}
