// Bundles what runs in the browser into src/entrepot/web/static/built. The server adds a digest to each address.
//
//   node build.mjs [FOLDER]

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "..", "src", "entrepot", "web", "static", "built");

// page is on every page, hasher runs in a worker, the others are on pages of their own.
const bundles = ["page", "hasher", "uploader", "table", "records", "graph", "pdf"];

const { outputFiles, metafile } = await build({
  entryPoints: bundles.map((name) => join(here, "src", `${name}.js`)),
  outdir: target,
  bundle: true,
  format: "iife",
  minify: true,
  write: false,
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
  target: ["chrome111", "firefox114", "safari16.4"],
});

// The licences of what was bundled go with it.
const packages = new Set();
for (const path of Object.keys(metafile.inputs)) {
  const found = path.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) packages.add(found[1]);
}
const notices = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : "";
  return `${name} ${version} (${license})\n\n${text}\n`;
});

// All of it is in memory before the first old file goes: a fault in a bundle leaves what was there.
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const { path, contents } of outputFiles) writeFileSync(path, contents);
writeFileSync(join(target, "LICENCES.txt"), notices.join(`\n${"-".repeat(78)}\n\n`));

// What the reader of PDFs loads only when a document needs it, as its makers built it: its worker, the fonts that every
// reader must have, the tables of East Asian text, and a codec. Their licences lie beside them.
const reader = join(here, "node_modules", "pdfjs-dist");
const parts = {
  "legacy/build/pdf.worker.min.mjs": "pdf/worker.mjs",
  standard_fonts: "pdf/fonts",
  cmaps: "pdf/cmaps",
  "wasm/openjpeg_nowasm_fallback.js": "pdf/codecs/openjpeg_nowasm_fallback.js",
};
for (const name of readdirSync(join(reader, "wasm"))) if (name.startsWith("LICENSE")) parts[`wasm/${name}`] = `pdf/codecs/${name}`;
for (const [from, to] of Object.entries(parts)) cpSync(join(reader, from), join(target, to), { recursive: true });
