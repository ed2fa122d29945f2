// A worker: SHA-256 of files, read in blocks, so that a file of any size needs a few megabytes.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

const BLOCK = 4 << 20;
// Browsers offer their own digest only over https, and only of whole buffers.
const WHOLE = 16 << 20;

async function digest(file, id) {
  if (file.size <= WHOLE && self.crypto.subtle) {
    const whole = await self.crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return bytesToHex(new Uint8Array(whole));
  }
  const hash = sha256.create();
  for (let at = 0; at < file.size; at += BLOCK) {
    hash.update(new Uint8Array(await file.slice(at, at + BLOCK).arrayBuffer()));
    self.postMessage({ id, read: Math.min(at + BLOCK, file.size) });
  }
  return bytesToHex(hash.digest());
}

self.onmessage = async ({ data: { id, file } }) => {
  try {
    self.postMessage({ id, sha256: await digest(file, id) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
