// Samples of a generator: those of ganforge's `gf.load(...).sample`, within a level.

import { noise } from "../../noise.mjs";

const BATCH = 16; // examples of a pass; larger ones are not faster
const PIXELS = 64 * 64; // of a picture: passes of larger ones have fewer examples
const SEEDS = 1n << 63n;

/** Samples by seed, label, number and truncation; arguments out of range throw a RangeError. */
export class Sampler {
  constructor(model, engine) {
    Object.assign(this, { model, engine });
    this.size = model.shape.reduce((a, b) => a * b, 1);
    this.pictures = model.shape.length === 3;
    const pixels = this.pictures ? model.shape[1] * model.shape[2] : 1;
    this.batch = Math.max(1, Math.min(BATCH, Math.floor((BATCH * PIXELS) / pixels)));
    this.codes = model.noise.codes ?? [];
    this.plain = this.codes.reduce((left, code) => left - code.size, model.noise.size);
  }

  /** z of samples first .. first + count - 1; codes: values by name, others are drawn. */
  noise(count, seed = 0, first = 0, codes = {}) {
    const whole = typeof seed === "bigint" ? seed : BigInt(Number.isInteger(seed) ? seed : SEEDS);
    if (whole <= -SEEDS || whole >= SEEDS) {
      throw new RangeError(`seed = ${seed}: expected a whole number below 2^63 in size`);
    }
    const { size, law } = this.model.noise;
    const z = noise(count, size, { law, codes: this.codes, seed: whole, first });
    return this.coded(z, codes);
  }

  /** z with chosen values in some codes: a class, or what each number of the code is. */
  coded(z, chosen) {
    for (const name of Object.keys(chosen)) {
      if (!this.codes.some((code) => code.name === name)) {
        throw new RangeError(`code ${name}: this model has no such code`);
      }
    }
    const { size } = this.model.noise;
    let start = this.plain;
    for (const code of this.codes) {
      const value = chosen[code.name];
      if (value !== undefined) {
        requireValue(code, value);
        for (let at = start; at < z.length; at += size) {
          z.fill(code.law === "categorical" ? 0 : value, at, at + code.size);
          if (code.law === "categorical") z[at + value] = 1;
        }
      }
      start += code.size;
    }
    return z;
  }

  /** Labels of `count` samples from one label, a list that is cycled, or null for all in turn. */
  labels(count, label = null) {
    const { classes } = this.model;
    if (!classes) {
      if (label !== null) throw new RangeError(`label = ${label}: this model takes no labels`);
      return null;
    }
    const asked = label === null ? [...Array(classes).keys()] : [label].flat();
    for (const one of asked) {
      if (!Number.isInteger(one) || one < 0 || one >= classes) {
        throw new RangeError(`label = ${one}: expected a whole number from 0 to ${classes - 1}`);
      }
    }
    return Array.from({ length: count }, (_, i) => asked[i % asked.length]);
  }

  /** z (N, Z) and labels -> model values, (N, numbers of an example). */
  generate(z, label, truncation = 1) {
    if (!(truncation > 0 && truncation <= 1)) {
      throw new RangeError(`truncation = ${truncation}: expected more than 0 and at most 1`);
    }
    const { size } = this.model.noise;
    const count = z.length / size;
    const t = Math.fround(truncation);
    const moved = this.model.truncation === "noise" && t !== 1
      ? z.map((v, at) => (at % size < this.plain ? v * t : v)) : z;
    const out = new Float32Array(count * this.size);
    for (let start = 0; start < count; start += this.batch) {
      const end = Math.min(start + this.batch, count);
      const inputs = { z: moved.subarray(start * size, end * size), label: label?.slice(start, end) };
      out.set(this.engine.run(end - start, inputs, t), start * this.size);
    }
    return out;
  }

  /** Model values -> levels 0 .. 255 (C, H, W) of pictures, or numbers in data units. */
  decoded(x) {
    const { dtype, scale, offset } = this.model;
    const levels = this.pictures && dtype !== "uint8";
    const of = (numbers, i) => (levels ? 127.5 : numbers[numbers.length === 1 ? 0 : i % this.size]);
    const out = this.pictures ? new Uint8ClampedArray(x.length) : new Float32Array(x.length);
    // a clamped array rounds to the nearest level, halves to the even one, as torch does
    for (let i = 0; i < x.length; i++) out[i] = Math.fround(Math.fround(x[i] * of(scale, i)) + of(offset, i));
    return out;
  }

  /** Samples first .. first + count - 1 of a seed, decoded. */
  samples(count, { seed = 0, label = null, first = 0, truncation = 1, codes = {} } = {}) {
    const z = this.noise(count, seed, first, codes);
    return this.decoded(this.generate(z, this.labels(count, label), truncation));
  }
}

/** Throws a RangeError unless a code can have this value. */
function requireValue({ name, law, size }, value) {
  const fits = law === "categorical"
    ? Number.isInteger(value) && value >= 0 && value < size : Number.isFinite(value);
  const expected = law === "categorical" ? `a class, 0 to ${size - 1}` : "a finite number";
  if (!fits) throw new RangeError(`code ${name} = ${value}: expected ${expected}`);
}

/** Of one number of noise, in drawings of all of it. */
export const REACH = { normal: 2.5, uniform: 1 };
const SPHERE = 16; // normal noise of so many numbers lies near a sphere

/**
 * The noise on the way t in [0, 1] from a to b: on a sphere for normal noise of many numbers, whose
 * length is then that of its law; else straight. The numbers after the plain ones are codes, whose
 * way is straight.
 */
export function between(a, b, t, law, plain = a.length) {
  let [u, v] = [1 - t, t];
  if (law === "normal" && plain >= SPHERE) {
    const dot = (p, q) => {
      let sum = 0;
      for (let i = 0; i < plain; i++) sum += p[i] * q[i];
      return sum;
    };
    const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    const angle = Math.acos(Math.min(1 - 1e-6, Math.max(-1 + 1e-6, cosine)));
    [u, v] = [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
  }
  return a.map((value, i) => (i < plain ? u * value + v * b[i] : (1 - t) * value + t * b[i]));
}

/**
 * The noise at a place (x, y) in [-1, 1]^2 of a plane through three noises: `origin` in the middle,
 * `right` at (1, 0), `up` at (0, 1). Noise of two numbers is the plane itself. The numbers after the
 * plain ones, codes, are those of the origin.
 */
export function onPlane([origin, right, up], x, y, law, plain = origin.length) {
  if (plain === 2 && origin.length === 2) return Float32Array.of(x, y).map((v) => v * REACH[law]);
  if (law !== "normal") {
    return origin.map((v, i) =>
      (i < plain ? Math.min(1, Math.max(-1, v + x * (right[i] - v) + y * (up[i] - v))) : v));
  }
  const distance = Math.hypot(x, y);
  if (!distance) return origin;
  const [c, s] = [Math.cos((distance * Math.PI) / 2), Math.sin((distance * Math.PI) / 2)];
  return origin.map((v, i) =>
    (i < plain ? c * v + (s / distance) * (x * right[i] + y * up[i]) : v));
}
