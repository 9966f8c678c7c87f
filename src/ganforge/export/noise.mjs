// The noise that an exported model is fed with, from a seed: the noise of ganforge's
// `gf.load(...).sample`. noise.py is the same in Python; the two differ by a rounding of log, sin
// and cos at most.
//
// Plain number j of sample i is a function of (seed, law, i, j): two words of a Philox 4x64-10 stream
// (Salmon et al. 2011) whose key is sha256("<seed>/sample/z") make two normal numbers (Box-Muller).
// The codes of a generator that has some follow, each from the stream "<seed>/sample/z/<name>".

const MASK = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];
const { fround } = Math;

/**
 * z of samples first .. first + count - 1: plain numbers times the truncation, then codes.
 *
 * count, size: N and Z, size and law as in the model's metadata. law: "normal" N(0, 1) or "uniform"
 * U(-1, 1). seed: a whole number, as a BigInt beyond 2^53. first: index of the first sample.
 * truncation: t in (0, 1]; leave it at 1 for a model that has an input "truncation".
 * codes: objects of name, law and size, as in the metadata: a "categorical" code is a vector of
 * zeros with a one, others are as plain numbers.
 *
 * Returns a Float32Array of N x Z numbers, one sample after another. Throws a RangeError for an
 * argument of another type or out of range.
 */
export function noise(count, size, { law = "normal", seed = 0, first = 0, truncation = 1, codes = null } = {}) {
  whole("count", count, 0);
  whole("size", size, 1);
  whole("first", first, 0);
  if (typeof seed !== "bigint") whole("seed", seed, -Infinity);
  if (law !== "normal" && law !== "uniform") {
    throw new RangeError(`law = ${law}: expected one of normal, uniform`);
  }
  if (typeof truncation !== "number" || !(truncation > 0 && truncation <= 1)) {
    throw new RangeError(`truncation = ${truncation}: expected more than 0 and at most 1`);
  }
  const coded = codes ?? [];
  const plain = coded.reduce((left, code) => left - code.size, size);
  const parts = [numbers(count, plain, law, seed, first, "sample/z", fround(truncation))];
  for (const code of coded) {
    const stream = `sample/z/${code.name}`;
    parts.push(
      code.law === "categorical"
        ? classes(count, code.size, seed, first, stream)
        : numbers(count, code.size, code.law, seed, first, stream),
    );
  }
  const sizes = [plain, ...coded.map((code) => code.size)];
  const z = new Float32Array(count * size);
  for (let i = 0; i < count; i++) {
    let start = i * size;
    parts.forEach((part, p) => {
      z.set(part.subarray(i * sizes[p], (i + 1) * sizes[p]), start);
      start += sizes[p];
    });
  }
  return z;
}

/**
 * Dropout factors of pictures first .. first + count - 1 that a translator turns: 0 or
 * 1 / (1 - drop), size of them a picture. drop, a probability, and stream, as
 * "translate/a2b/dropout.0", stand in the model's metadata, under "inputs".
 */
export function masks(count, size, drop, stream, { seed = 0, first = 0 } = {}) {
  whole("count", count, 0);
  whole("size", size, 1);
  whole("first", first, 0);
  if (typeof seed !== "bigint") whole("seed", seed, -Infinity);
  if (typeof drop !== "number" || !(drop >= 0 && drop < 1)) {
    throw new RangeError(`drop = ${drop}: expected at least 0 and less than 1`);
  }
  const pairs = Math.ceil(size / 2);
  const drawn = words(seed, BigInt(first) * BigInt(pairs), count * pairs, stream);
  const least = Math.round(drop * 65536);
  return Float32Array.from({ length: count * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    const half = (drawn[i * pairs + (j >> 1)] >>> (16 * (j & 1))) & 0xffff;
    return half >= least ? 1 / (1 - drop) : 0;
  });
}

/** Numbers of a law, `size` for each of `count` samples of a stream, times t. */
function numbers(count, size, law, seed, first, stream, t = 1) {
  const normal = law === "normal";
  const width = normal ? size + (size % 2) : size;
  const drawn = words(seed, BigInt(first) * BigInt(width), count * width, stream);
  const made = new Float32Array(count * size);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < size; j++) {
      const at = i * width + j;
      const pair = at - (j % 2);
      const value = normal ? boxMuller(drawn[pair], drawn[pair + 1], j % 2) : uniform(drawn[at]);
      made[i * size + j] = fround(t * value);
    }
  }
  return made;
}

/** A class of `size` for each of `count` samples of a stream, as zeros with a one. */
function classes(count, size, seed, first, stream) {
  const made = new Float32Array(count * size);
  words(seed, BigInt(first), count, stream).forEach((word, i) => {
    made[i * size + Number((BigInt(word) * BigInt(size)) >> 32n)] = 1;
  });
  return made;
}

/** Words first .. first + count - 1 of the stream of a seed; first is a BigInt. */
export function words(seed, first, count, stream = "sample/z") {
  const digest = sha256(new TextEncoder().encode(`${seed}/${stream}`));
  const key = [0, 8].map((start) => {
    let value = 0n;
    for (let i = 7; i >= 0; i--) value = (value << 8n) | BigInt(digest[start + i]);
    return value;
  });
  const skip = Number(first % 8n);
  const blocks = Math.ceil((skip + count) / 8);
  const out = new Uint32Array(blocks * 8);
  for (let b = 0; b < blocks; b++) {
    const block = philox(first / 8n + BigInt(b) + 1n, key); // numpy counts before it draws
    for (let i = 0; i < 4; i++) {
      out[b * 8 + 2 * i] = Number(block[i] & 0xffffffffn);
      out[b * 8 + 2 * i + 1] = Number(block[i] >> 32n);
    }
  }
  return out.subarray(skip, skip + count);
}

/** The 4 numbers of 64 bits of a counter's value, in ten rounds. */
function philox(counter, [key0, key1]) {
  let [a, b, c, d] = [counter & MASK, (counter >> 64n) & MASK, 0n, 0n];
  for (let round = 0; round < 10; round++) {
    const left = MULTIPLIERS[0] * a;
    const right = MULTIPLIERS[1] * c;
    [a, b, c, d] = [(right >> 64n) ^ b ^ key0, right & MASK, (left >> 64n) ^ d ^ key1, left & MASK];
    key0 = (key0 + WEYL[0]) & MASK;
    key1 = (key1 + WEYL[1]) & MASK;
  }
  return [a, b, c, d];
}

/** One of the two N(0, 1) numbers of a pair of words, rounded to single precision as in numpy. */
function boxMuller(first, second, odd) {
  const u = fround(fround(fround(first) + 1) * fround(2 ** -32));
  const angle = fround(fround(second) * fround(2 ** -32 * 2 * Math.PI));
  const radius = fround(Math.sqrt(fround(-2 * fround(Math.log(u)))));
  return fround(radius * fround(odd ? Math.sin(angle) : Math.cos(angle)));
}

/** The U(-1, 1) number of a word. */
function uniform(word) {
  return fround(fround(fround((word >>> 8) * 2 ** -24) * 2) - 1);
}

function whole(key, value, least) {
  if (!Number.isSafeInteger(value) || value < least) {
    const range = least === -Infinity ? "a whole number" : `a whole number, at least ${least}`;
    throw new RangeError(`${key} = ${value}: expected ${range}`);
  }
}

/** SHA-256 of bytes, as a Uint8Array (FIPS 180-4); crypto.subtle has it behind a promise only. */
export function sha256(bytes) {
  const primes = firstPrimes(64);
  const fraction = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32) | 0;
  const state = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
  const constants = primes.map((p) => fraction(Math.cbrt(p)));
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, bytes.length * 8);
  const rotated = (x, n) => (x >>> n) | (x << (32 - n));
  for (let start = 0; start < padded.length; start += 64) {
    const w = new Int32Array(64);
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(start + 4 * i);
    for (let i = 16; i < 64; i++) {
      const low = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const high = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const high = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
      const one = (h + high + ((e & f) ^ (~e & g)) + constants[i] + w[i]) | 0;
      const low = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
      const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => (state[i] = (state[i] + x) | 0));
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((x, i) => out.setInt32(4 * i, x));
  return new Uint8Array(out.buffer);
}

function firstPrimes(count) {
  const primes = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((p) => n % p)) primes.push(n);
  return primes;
}
