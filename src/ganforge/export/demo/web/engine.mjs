// Generators as lists of operations, run on one array of float32 numbers (the heap).
//
// Flat values lie as (batch, features), maps as (channels, batch, height, width), so that a
// convolution of a whole batch is one product of matrices. Three loops take nearly all the time;
// `simd` has them in WebAssembly (engine.wat), `plain` in JavaScript, with the same arguments:
//
//   gemm(a, b, c, m, k, n)   c (m, n) = a (m, k) b (k, n)
//   fold(column, out, rows, columns, height, width, top, left, stride)
//       out (height, width) += column (rows, columns) at every stride-th pixel from (top, left)
//   unfold(image, column, rows, columns, height, width, top, left, stride)
//       column (rows, columns) = image (height, width) at those pixels, 0 outside
//
// Addresses are places in the heap.

/** The loops in JavaScript. */
export function plain() {
  const loops = {
    heap: new Float32Array(1 << 18),
    grow(size) {
      const larger = new Float32Array(Math.max(size, 2 * loops.heap.length));
      larger.set(loops.heap);
      loops.heap = larger;
    },
    gemm(a, b, c, m, k, n) {
      const { heap } = loops;
      heap.fill(0, c, c + m * n);
      for (let i = 0; i < m; i++) {
        const to = c + i * n;
        for (let p = 0; p < k; p++) {
          const s = heap[a + i * k + p];
          const from = b + p * n;
          for (let j = 0; j < n; j++) heap[to + j] += s * heap[from + j];
        }
      }
    },
    fold(column, out, rows, columns, height, width, top, left, stride) {
      const { heap } = loops;
      for (let i = 0, y = top; i < rows; i++, y += stride) {
        if (y < 0 || y >= height) continue;
        for (let j = 0, x = left; j < columns; j++, x += stride) {
          if (x >= 0 && x < width) heap[out + y * width + x] += heap[column + i * columns + j];
        }
      }
    },
    unfold(image, column, rows, columns, height, width, top, left, stride) {
      const { heap } = loops;
      for (let i = 0, y = top, to = column; i < rows; i++, y += stride) {
        for (let j = 0, x = left; j < columns; j++, x += stride) {
          const inside = y >= 0 && y < height && x >= 0 && x < width;
          heap[to++] = inside ? heap[image + y * width + x] : 0;
        }
      }
    },
  };
  return loops;
}

/** The loops in WebAssembly, from the bytes of engine.wasm. Rejects if there is no SIMD. */
export async function simd(bytes) {
  const { instance } = await WebAssembly.instantiate(bytes, {});
  const { memory, gemm, fold, unfold } = instance.exports;
  const loops = {
    heap: new Float32Array(memory.buffer),
    grow(size) {
      const wanted = Math.max(size, 1.5 * loops.heap.length) * 4;
      memory.grow(Math.ceil((wanted - memory.buffer.byteLength) / 65536));
      loops.heap = new Float32Array(memory.buffer);
    },
    gemm: (a, b, c, m, k, n) => gemm(4 * a, 4 * b, 4 * c, m, k, n),
    fold: (column, out, ...sizes) => fold(4 * column, 4 * out, ...sizes),
    unfold: (image, column, ...sizes) => unfold(4 * image, 4 * column, ...sizes),
  };
  return loops;
}

/** The fastest loops of this browser, their name, and why they are not those in WebAssembly. */
export async function fastest(bytes) {
  try {
    return { loops: await simd(bytes), how: "WebAssembly" };
  } catch (error) {
    return { loops: plain(), how: "plain JavaScript", fault: error.message };
  }
}

/** The numbers of 16 bits as float32, (IEEE 754 binary16). */
export function fromHalf(words) {
  const table = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const power = (h >> 10) & 31;
    const part = h & 1023;
    let value = power ? (1 + part / 1024) * 2 ** (power - 15) : part * 2 ** -24;
    if (power === 31) value = part ? NaN : Infinity;
    table[h] = h & 0x8000 ? -value : value;
  }
  return Float32Array.from(words, (h) => table[h]);
}

/** The bytes of a base64 text. */
export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const whole = atob(text);
  const bytes = new Uint8Array(whole.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = whole.charCodeAt(i);
  return bytes;
}

const ACTIVATIONS = {
  relu: (x) => (x > 0 ? x : 0),
  leaky: (x, slope) => (x > 0 ? x : slope * x),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sin: Math.sin,
};

/** A generator: a graph (graph.py describes it), the bytes of its tensors, and the loops. */
export class Engine {
  constructor(graph, bytes, loops) {
    Object.assign(this, { graph, loops, used: 0 });
    this.tensors = graph.tensors.map(({ shape, at, half }) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const kind = half ? Uint16Array : Float32Array;
      const stored = new kind(bytes.slice(at, at + count * kind.BYTES_PER_ELEMENT).buffer);
      const place = this.room(count);
      this.loops.heap.set(half ? fromHalf(stored) : stored, place);
      return { at: place, shape };
    });
    this.weights = this.used;
    this.uses = graph.operations.map(() => 0);
    for (const { from } of graph.operations) {
      for (const source of from) if (typeof source === "number") this.uses[source]++;
    }
  }

  /** A free place for so many numbers, whose contents are arbitrary. */
  room(count) {
    const at = this.used;
    this.used += Math.ceil(count / 4) * 4;
    if (this.used > this.loops.heap.length) this.loops.grow(this.used);
    return at;
  }

  /** A value of a shape without its batch. */
  value(shape, batch) {
    const size = shape.reduce((a, b) => a * b, 1);
    return { at: this.room(size * batch), shape, batch, size };
  }

  /** The numbers of a value, as they lie on the heap. */
  of({ at, size, batch }) {
    return this.loops.heap.subarray(at, at + size * batch);
  }

  /**
   * Inputs by name -> the last value, a Float32Array (batch, numbers of an example).
   *
   * inputs: z (batch, Z) numbers; label, batch whole numbers; source (batch, C, H, W) numbers.
   * truncation is that of laws that move the style.
   */
  run(batch, inputs, truncation = 1) {
    this.used = this.weights;
    this.batch = batch;
    this.truncation = truncation;
    this.inputs = inputs;
    const values = [];
    for (const operation of this.graph.operations) {
      const sources = operation.from.map((s) => (typeof s === "number" ? values[s] : this.input(s)));
      const last = operation.from.every((s) => typeof s === "number" && this.uses[s] === 1);
      values.push(this[operation.op](operation, sources, last));
    }
    const made = values.at(-1);
    return this.of(made.shape.length === 1 ? made : this.flatten({}, [made])).slice();
  }

  input(name) {
    if (name === "label") return null; // read by `embed`
    const given = this.inputs[name];
    const shape = this.graph.inputs[name];
    const flat = this.value([shape.reduce((a, b) => a * b, 1)], this.batch);
    this.of(flat).set(given);
    return shape.length === 1 ? flat : this.grid({ shape }, [flat]);
  }

  // --- operations: (settings, values, whether nobody else needs them) -> value ------------------

  embed({ table }) {
    const { at, shape } = this.tensors[table];
    const out = this.value([shape[1]], this.batch);
    const { heap } = this.loops;
    this.inputs.label.forEach((label, i) => {
      heap.copyWithin(out.at + i * shape[1], at + label * shape[1], at + (label + 1) * shape[1]);
    });
    return out;
  }

  constant({ tensor }) {
    const { at, shape } = this.tensors[tensor];
    const flat = this.value([shape.reduce((a, b) => a * b, 1)], this.batch);
    for (let i = 0; i < this.batch; i++) {
      this.loops.heap.copyWithin(flat.at + i * flat.size, at, at + flat.size);
    }
    return shape.length === 1 ? flat : this.grid({ shape }, [flat]);
  }

  concat(_, values) {
    const flat = values[0].shape.length === 1;
    const wide = values.reduce((sum, v) => sum + v.shape[0], 0);
    const out = this.value([wide, ...values[0].shape.slice(1)], this.batch);
    const { heap } = this.loops;
    let place = out.at;
    for (const v of values) {
      if (flat) {
        for (let i = 0; i < this.batch; i++) {
          heap.copyWithin(place + i * wide, v.at + i * v.size, v.at + (i + 1) * v.size);
        }
        place += v.size;
      } else {
        heap.copyWithin(place, v.at, v.at + v.size * this.batch);
        place += v.size * this.batch;
      }
    }
    return out;
  }

  linear({ weight, bias }, [x]) {
    const { at, shape } = this.tensors[weight];
    const out = this.value([shape[1]], this.batch);
    this.loops.gemm(x.at, at, out.at, this.batch, shape[0], shape[1]);
    if (bias !== null) {
      const [numbers, add] = [this.of(out), this.of({ ...this.tensors[bias], size: shape[1], batch: 1 })];
      for (let i = 0; i < numbers.length; i++) numbers[i] += add[i % shape[1]];
    }
    return out;
  }

  /** (batch, C H W) -> (C, batch, H, W). */
  grid({ shape }, [x]) {
    const out = this.value(shape, this.batch);
    this.exchange(x.at, out.at, this.batch, shape[0], shape.slice(1).reduce((a, b) => a * b, 1));
    return out;
  }

  /** (C, batch, H, W) -> (batch, C H W). */
  flatten(_, [x]) {
    const out = this.value([x.size], this.batch);
    this.exchange(x.at, out.at, x.shape[0], this.batch, x.size / x.shape[0]);
    return out;
  }

  /** (a, b, inner) -> (b, a, inner). */
  exchange(from, to, a, b, inner) {
    for (let i = 0; i < a; i++) {
      for (let j = 0; j < b; j++) {
        const start = from + (i * b + j) * inner;
        this.loops.heap.copyWithin(to + (j * a + i) * inner, start, start + inner);
      }
    }
  }

  conv({ weight, bias, stride, padding, reflect }, [x]) {
    const { at, shape: [outputs, inputs, rows, columns] } = this.tensors[weight];
    const source = reflect ? this.reflected(x, reflect) : x;
    const [, height, width] = source.shape;
    const [h, w] = [[height, rows], [width, columns]].map(
      ([side, kernel], d) => Math.floor((side + 2 * padding[d] - kernel) / stride[d]) + 1,
    );
    const out = this.value([outputs, h, w], this.batch);
    const before = this.used;
    let column = source.at;
    if (rows * columns > 1 || stride[0] > 1) {
      column = this.room(inputs * rows * columns * this.batch * h * w);
      let to = column;
      for (let c = 0; c < inputs; c++) {
        for (let i = 0; i < rows; i++) {
          for (let j = 0; j < columns; j++) {
            for (let b = 0; b < this.batch; b++, to += h * w) {
              const image = source.at + (c * this.batch + b) * height * width;
              const place = [i - padding[0], j - padding[1]];
              this.loops.unfold(image, to, h, w, height, width, ...place, stride[0]);
            }
          }
        }
      }
    }
    this.loops.gemm(at, column, out.at, outputs, inputs * rows * columns, this.batch * h * w);
    this.used = before; // nobody reads the column again
    return this.biased(out, bias);
  }

  transposed({ weight, bias, stride, padding, extra, kernel }, [x]) {
    const [rows, columns] = kernel;
    const { at, shape: [taps, inputs] } = this.tensors[weight];
    const outputs = taps / (rows * columns);
    const [, height, width] = x.shape;
    const [h, w] = [height, width].map(
      (side, d) => (side - 1) * stride[d] - 2 * padding[d] + kernel[d] + extra[d],
    );
    const out = this.value([outputs, h, w], this.batch);
    const column = this.room(taps * this.batch * height * width);
    this.loops.gemm(at, x.at, column, taps, inputs, this.batch * height * width);
    this.of(out).fill(0);
    let from = column;
    for (let c = 0; c < outputs; c++) {
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          for (let b = 0; b < this.batch; b++, from += height * width) {
            const image = out.at + (c * this.batch + b) * h * w;
            const place = [i - padding[0], j - padding[1]];
            this.loops.fold(from, image, height, width, h, w, ...place, stride[0]);
          }
        }
      }
    }
    this.used = column;
    return this.biased(out, bias);
  }

  biased(out, bias) {
    return bias === null ? out : this.affine({ scale: null, shift: bias }, [out], true);
  }

  /** x * scale + shift; each has a number a channel (or feature), or is one number. */
  affine({ scale, shift }, [x], last) {
    const out = last ? x : this.value(x.shape, this.batch);
    const { heap } = this.loops;
    const number = (of, c) => (Number.isInteger(of) ? heap[this.tensors[of].at + c] : of[0]);
    this.rows(x, out, (from, to, count, c) => {
      const [a, b] = [scale === null ? 1 : number(scale, c), number(shift, c)];
      for (let i = 0; i < count; i++) heap[to + i] = heap[from + i] * a + b;
    });
    return out;
  }

  /** Calls f(from, to, count, channel, example) for every run of neighbours of one channel. */
  rows(x, out, f) {
    const map = x.shape.length > 1;
    const inner = map ? x.size / x.shape[0] : 1;
    const [outer, middle] = map ? [x.shape[0], this.batch] : [this.batch, x.shape[0]];
    for (let i = 0, at = 0; i < outer; i++) {
      for (let j = 0; j < middle; j++, at += inner) {
        f(x.at + at, out.at + at, inner, map ? i : j, map ? j : i);
      }
    }
  }

  activation({ kind, slope = 0, gain = 1 }, [x], last) {
    const out = last ? x : this.value(x.shape, this.batch);
    const [from, to, f] = [this.of(x), this.of(out), ACTIVATIONS[kind]];
    for (let i = 0; i < from.length; i++) to[i] = gain * f(from[i], slope);
    return out;
  }

  /** The largest of every `pieces` neighbours of flat values. */
  maxout({ pieces }, [x]) {
    const out = this.value([x.size / pieces], this.batch);
    const [from, to] = [this.of(x), this.of(out)];
    for (let i = 0; i < to.length; i++) {
      let most = from[i * pieces];
      for (let p = 1; p < pieces; p++) most = Math.max(most, from[i * pieces + p]);
      to[i] = most;
    }
    return out;
  }

  /** Dropout, by a mask that is an input. */
  mask(_, [x, mask]) {
    const out = this.value(x.shape, this.batch);
    const [a, b, to] = [x, mask, out].map((v) => this.of(v));
    for (let i = 0; i < to.length; i++) to[i] = a[i] * b[i];
    return out;
  }

  add(_, [x, y]) {
    const out = this.value(x.shape, this.batch);
    const [a, b, to] = [x, y, out].map((v) => this.of(v));
    for (let i = 0; i < to.length; i++) to[i] = a[i] + b[i];
    return out;
  }

  /** Maps at another size, or with sides times a factor; the places are those of torch's `align_corners=False`. */
  resize({ size, factor, mode }, [x]) {
    const [channels, height, width] = x.shape;
    const [h, w] = size ?? [factor * height, factor * width];
    const out = this.value([channels, h, w], this.batch);
    const { heap } = this.loops;
    const [down, across] = [[height, h], [width, w]].map(([side, made]) =>
      Array.from({ length: made }, (_, i) => {
        if (mode === "nearest") return [Math.floor((i * side) / made), 0, 0];
        const place = Math.max(0, ((i + 0.5) * side) / made - 0.5);
        const low = Math.floor(place);
        return [low, low < side - 1 ? 1 : 0, place - low];
      }),
    );
    for (let m = 0; m < channels * this.batch; m++) {
      const [from, to] = [x.at + m * height * width, out.at + m * h * w];
      for (let i = 0; i < h; i++) {
        const [y, dy, v] = down[i];
        const [top, bottom] = [from + y * width, from + (y + dy) * width];
        for (let j = 0; j < w; j++) {
          const [at, dx, u] = across[j];
          const high = heap[top + at] * (1 - u) + heap[top + at + dx] * u;
          const low = heap[bottom + at] * (1 - u) + heap[bottom + at + dx] * u;
          heap[to + i * w + j] = high * (1 - v) + low * v;
        }
      }
    }
    return out;
  }

  /** Maps with `by` more pixels on every side, mirrored at the border. */
  reflected(x, by) {
    const [channels, height, width] = x.shape;
    const [h, w] = [height + 2 * by, width + 2 * by];
    const out = this.value([channels, h, w], this.batch);
    const { heap } = this.loops;
    const mirror = (i, side) => side - 1 - Math.abs(side - 1 - Math.abs(i - by));
    for (let m = 0; m < channels * this.batch; m++) {
      for (let i = 0; i < h; i++) {
        const from = x.at + (m * height + mirror(i, height)) * width;
        const to = out.at + (m * h + i) * w;
        for (let j = 0; j < w; j++) heap[to + j] = heap[from + mirror(j, width)];
      }
    }
    return out;
  }

  /** Each channel of each example with mean 0 and variance 1, times scale, plus shift. */
  instance({ epsilon, scale, shift }, [x]) {
    const out = this.value(x.shape, this.batch);
    const { heap } = this.loops;
    this.rows(x, out, (from, to, count, c) => {
      let [sum, squares] = [0, 0];
      for (let i = 0; i < count; i++) sum += heap[from + i];
      const mean = sum / count;
      for (let i = 0; i < count; i++) squares += (heap[from + i] - mean) ** 2;
      const a = (scale === null ? 1 : heap[this.tensors[scale].at + c]) /
        Math.sqrt(squares / count + epsilon);
      const b = shift === null ? 0 : heap[this.tensors[shift].at + c];
      for (let i = 0; i < count; i++) heap[to + i] = (heap[from + i] - mean) * a + b;
    });
    return out;
  }

  // --- of style generators ---------------------------------------------------------------------

  /** Flat values with a mean square of 1 over the features. */
  unit({ epsilon }, [x]) {
    const out = this.value(x.shape, this.batch);
    const { heap } = this.loops;
    for (let b = 0; b < this.batch; b++) {
      let squares = 0;
      for (let i = 0; i < x.size; i++) squares += heap[x.at + b * x.size + i] ** 2;
      const scale = 1 / Math.sqrt(squares / x.size + epsilon);
      for (let i = 0; i < x.size; i++) {
        heap[out.at + b * x.size + i] = heap[x.at + b * x.size + i] * scale;
      }
    }
    return out;
  }

  /** mean + t (w - mean), t the truncation. */
  truncate({ mean }, [x]) {
    if (this.truncation === 1) return x;
    const out = this.value(x.shape, this.batch);
    const { heap } = this.loops;
    const { at } = this.tensors[mean];
    this.rows(x, out, (from, to, _, c) => {
      heap[to] = heap[at + c] + this.truncation * (heap[from] - heap[at + c]);
    });
    return out;
  }

  /** x (C, ...) times the number that an example's style (C,) has for the channel. */
  modulate(_, [x, style]) {
    const out = this.value(x.shape, this.batch);
    const { heap } = this.loops;
    this.rows(x, out, (from, to, count, c, b) => {
      const scale = heap[style.at + b * style.size + c];
      for (let i = 0; i < count; i++) heap[to + i] = heap[from + i] * scale;
    });
    return out;
  }

  /** x / sqrt(sum over inputs of (style weight)^2 + epsilon): outputs of unit variance. */
  demodulate({ weight, epsilon }, [x, style]) {
    const tensor = this.tensors[weight];
    const [outputs, inputs, rows, columns] = tensor.shape;
    const out = this.value(x.shape, this.batch);
    const { heap } = this.loops;
    tensor.squares ??= Float32Array.from({ length: outputs * inputs }, (_, i) => {
      let sum = 0;
      for (let t = 0; t < rows * columns; t++) sum += heap[tensor.at + i * rows * columns + t] ** 2;
      return sum;
    });
    this.rows(x, out, (from, to, count, c, b) => {
      let sum = epsilon;
      for (let i = 0; i < inputs; i++) {
        sum += heap[style.at + b * inputs + i] ** 2 * tensor.squares[c * inputs + i];
      }
      const scale = 1 / Math.sqrt(sum);
      for (let i = 0; i < count; i++) heap[to + i] = heap[from + i] * scale;
    });
    return out;
  }

  /** x (C, h, w) plus one map (1, h, w) in every channel: the fixed noise of a layer. */
  plus({ map }, [x]) {
    const out = this.value(x.shape, this.batch);
    const { heap } = this.loops;
    const { at } = this.tensors[map];
    this.rows(x, out, (from, to, count) => {
      for (let i = 0; i < count; i++) heap[to + i] = heap[from + i] + heap[at + i];
    });
    return out;
  }

  /** Maps of twice the side, filtered by [1, 3, 3, 1] x [1, 3, 3, 1] / 16; padding 0 leaves a pixel
   * more on every side. */
  enlarge({ padding }, [x]) {
    const [channels, height, width] = x.shape;
    const [h, w] = [2 * height + 2 - 2 * padding, 2 * width + 2 - 2 * padding];
    const out = this.value([channels, h, w], this.batch);
    const { heap } = this.loops;
    this.of(out).fill(0);
    const taps = [0.25, 0.75, 0.75, 0.25];
    for (let m = 0; m < channels * this.batch; m++) {
      for (let y = 0; y < height; y++) {
        for (let i = 0; i < 4; i++) {
          const row = 2 * y + i - padding;
          if (row < 0 || row >= h) continue;
          for (let x0 = 0; x0 < width; x0++) {
            const value = heap[x.at + (m * height + y) * width + x0] * taps[i];
            for (let j = 0; j < 4; j++) {
              const column = 2 * x0 + j - padding;
              if (column >= 0 && column < w) heap[out.at + (m * h + row) * w + column] += value * taps[j];
            }
          }
        }
      }
    }
    return out;
  }
}
