// The pages of a PDF, one at a time. The document is read by a worker; nothing in it runs, and nothing leaves this server.

import { getDocument, GlobalWorkerOptions } from "pdfjs-dist/legacy/build/pdf.mjs";

import { count, h } from "./say.js";

// Parts of the library are fetched by name, from the folder that this script came from.
const HERE = document.currentScript?.src.replace(/pdf\.js.*$/, "");
// A page of a poster would otherwise become a picture that browsers refuse to make.
const MOST_PIXELS = 16e6;

class Reader {
  constructor(root) {
    this.root = root;
    this.name = root.dataset.name;
    this.at = 1;
    // Counts what was asked for: a page that comes late is not shown over a later one.
    this.asked = 0;
    this.canvas = h("canvas.pdf-page", { role: "img" });
    this.back = h("button", { type: "button", text: "Previous page", onclick: () => this.turn(this.at - 1) });
    this.on = h("button", { type: "button", text: "Next page", onclick: () => this.turn(this.at + 1) });
    this.where = h("span", { role: "status" });
    this.text = h("pre", { tabindex: "0", "aria-label": "Text of this page" });
    this.wrong = h("p.box.warn", { role: "alert", hidden: true });
    this.sheet = h(
      "div.pdf-sheet",
      { tabindex: "0", role: "region", "aria-label": "Page, turned by the arrow keys", onkeydown: (event) => this.key(event) },
      this.canvas,
    );
    this.folded = h("details.fold", { ontoggle: () => this.read() }, h("summary", { text: "Text of this page" }), this.text);
    this.parts = [h("p.buttons", {}, this.back, this.on, this.where), this.wrong, this.sheet, this.folded];
  }

  async open() {
    const task = getDocument({
      url: this.root.dataset.pdf,
      // Ranges of what is looked at, instead of all of it.
      disableAutoFetch: true,
      disableStream: true,
      isEvalSupported: false,
      enableXfa: false,
      useWasm: false,
      useWorkerFetch: false,
      useSystemFonts: false,
      cMapUrl: `${HERE}pdf/cmaps/`,
      standardFontDataUrl: `${HERE}pdf/fonts/`,
      wasmUrl: `${HERE}pdf/codecs/`,
      maxImageSize: 4 * MOST_PIXELS,
      canvasMaxAreaInBytes: 4 * MOST_PIXELS,
      verbosity: 0,
    });
    this.document = await task.promise;
    this.root.replaceChildren(...this.parts);
    await this.turn(1);
    let wide = this.sheet.clientWidth;
    let waiting = 0;
    new ResizeObserver(() => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        if (Math.abs(this.sheet.clientWidth - wide) < 2) return;
        wide = this.sheet.clientWidth;
        this.turn(this.at);
      }, 200);
    }).observe(this.sheet);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const to = { ArrowLeft: this.at - 1, ArrowRight: this.at + 1, Home: 1, End: this.document.numPages }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.turn(to);
  }

  async turn(to) {
    const all = this.document.numPages;
    if (to < 1 || to > all) return;
    const asked = (this.asked += 1);
    this.at = to;
    // Not `disabled`, which would take the focus from who pressed it.
    this.back.setAttribute("aria-disabled", String(to === 1));
    this.on.setAttribute("aria-disabled", String(to === all));
    this.where.textContent = `Page ${count(to)} of ${count(all)}`;
    this.sheet.setAttribute("aria-busy", "true");
    this.drawing?.cancel();
    let fault = null;
    try {
      const page = await this.document.getPage(to);
      if (asked !== this.asked) return;
      await this.draw(page, asked);
    } catch (error) {
      fault = error;
    }
    if (asked !== this.asked) return;
    this.sheet.setAttribute("aria-busy", "false");
    this.canvas.hidden = fault !== null;
    this.wrong.hidden = fault === null;
    if (fault !== null) this.wrong.textContent = `Page ${count(to)} cannot be shown: the file is damaged there, or could not be fetched. Download it to look at it elsewhere.`;
    this.canvas.setAttribute("aria-label", `Page ${count(to)} of ${this.name}`);
    await this.read();
  }

  async draw(page, asked) {
    const plain = page.getViewport({ scale: 1 });
    const wide = this.sheet.clientWidth;
    let scale = (wide / plain.width) * (window.devicePixelRatio || 1);
    const pixels = plain.width * plain.height * scale * scale;
    if (pixels > MOST_PIXELS) scale *= Math.sqrt(MOST_PIXELS / pixels);
    const viewport = page.getViewport({ scale });
    // On a sheet of its own: the page before stays until this one is whole.
    const canvas = h("canvas", { width: Math.max(1, Math.floor(viewport.width)), height: Math.max(1, Math.floor(viewport.height)) });
    this.drawing = page.render({ canvas, viewport });
    await this.drawing.promise;
    if (asked !== this.asked) return;
    this.canvas.width = canvas.width;
    this.canvas.height = canvas.height;
    this.canvas.getContext("2d").drawImage(canvas, 0, 0);
  }

  // The words of the page, for who does not see it or wants to copy them; only when somebody wants them.
  async read() {
    if (!this.folded.open) return;
    const asked = this.asked;
    let words = "";
    try {
      const page = await this.document.getPage(this.at);
      const { items } = await page.getTextContent();
      words = items.map((one) => (one.str ?? "") + (one.hasEOL ? "\n" : "")).join("").trim();
    } catch {
      words = "";
    }
    if (asked === this.asked) this.text.textContent = words || "There is no text in this page: it may be a picture.";
  }
}

// What a person is told; the download stands above it on the page.
function reason(error) {
  if (error?.name === "PasswordException") return "This PDF is protected by a password, so it cannot be shown here. Download it to open it.";
  if (error?.name === "InvalidPDFException") return "This PDF is damaged, or is no PDF, and cannot be shown. Download it to look at it elsewhere.";
  if (error?.name === "ResponseException") return "The file could not be fetched. Load this page again, or download it.";
  return "This PDF cannot be shown here. Download it to open it.";
}

for (const root of document.querySelectorAll("[data-pdf]")) {
  GlobalWorkerOptions.workerSrc = root.dataset.worker;
  const said = root.firstElementChild;
  const before = said.textContent;
  said.textContent = "Opening the document…";
  new Reader(root).open().catch((error) => {
    root.replaceChildren(said);
    said.textContent = root.dataset.worker ? reason(error) : before;
    said.setAttribute("role", "alert");
  });
}
