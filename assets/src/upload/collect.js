// Files with their paths, out of what was dropped or chosen. Folders are walked entry by entry: a folder of a hundred
// thousand files fills no array of the browser's own on the way.

const IGNORED = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);

function readEntries(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function walk(entry, found, tell) {
  if (entry.isFile) {
    if (!IGNORED.has(entry.name)) found.push({ path: entry.fullPath.replace(/^\//, ""), file: await fileOf(entry) });
    if (found.length % 500 === 0) tell(found.length);
    return;
  }
  const reader = entry.createReader();
  // It gives a hundred at a time, and an empty list at the end.
  for (let some = await readEntries(reader); some.length > 0; some = await readEntries(reader)) {
    for (const one of some) await walk(one, found, tell);
  }
}

// What a drop holds can be asked for only while the event lasts, so this has to begin without waiting for anything.
export function fromDrop(transfer, tell) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return Promise.resolve(fromInput(transfer.files));
  return (async () => {
    const found = [];
    for (const entry of entries) await walk(entry, found, tell);
    return found;
  })();
}

export function fromInput(files) {
  return [...files]
    .filter((file) => !IGNORED.has(file.name))
    .map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

// The folder that all paths begin with, if there is one.
export function commonFolder(items) {
  const first = items[0]?.path.split("/");
  if (!first || first.length < 2) return null;
  return items.every(({ path }) => path.startsWith(`${first[0]}/`)) ? first[0] : null;
}
