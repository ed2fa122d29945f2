// Many small files in one body, as entrepot/wire/frames.py describes it.

const MAGIC = [0x45, 0x6e, 0x46, 0x31]; // "EnF1"
export const MEMBER_BYTES = 1 << 20;

const TABLE = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  TABLE[n] = c;
}

export function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

export function header(name, size, sha256) {
  const text = new TextEncoder().encode(name);
  const bytes = new Uint8Array(46 + text.length + 4);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  view.setUint16(4, text.length, true);
  view.setBigUint64(6, BigInt(size), true);
  for (let i = 0; i < 32; i++) bytes[14 + i] = Number.parseInt(sha256.slice(2 * i, 2 * i + 2), 16);
  bytes.set(text, 46);
  view.setUint32(46 + text.length, crc32(bytes.subarray(0, 46 + text.length)), true);
  return bytes;
}

// The files stay on disk until the browser sends them.
export function batch(items) {
  return new Blob(items.flatMap(({ path, file, sha256 }) => [header(path, file.size, sha256), file]));
}
