// Matrices of float32 numbers that remember how they were made. Every derivative is made of the
// same functions, so that a derivative has a derivative too: penalties on gradients need it. What
// needs no gradient gets null.

let loops = null; // those of engine.mjs; products of matrices go through them

/** Chooses the loops. */
export function computeWith(chosen) {
  loops = chosen;
}

/** A matrix (rows, columns). `from` has the matrices that it was made of, `back` their gradients. */
export function matrix(rows, columns, data, from = [], back = null) {
  const needs = from.some((m) => m.needs);
  return { rows, columns, data, from: needs ? from : [], back: needs ? back : null, needs };
}

/** A matrix whose gradients can be asked for. */
export function parameter(rows, columns, data) {
  return { ...matrix(rows, columns, data), needs: true };
}

/** The same numbers, as if nobody knew how they were made. */
export const detached = (a) => matrix(a.rows, a.columns, a.data);

const filled = (rows, columns, value) => matrix(rows, columns, new Float32Array(rows * columns).fill(value));

/** f of every number; back(gradient) is the gradient of a. */
function each(a, f, back) {
  const [from, out] = [a.data, new Float32Array(a.data.length)];
  for (let i = 0; i < out.length; i++) out[i] = f(from[i]);
  return matrix(a.rows, a.columns, out, [a], (g) => [back(g)]);
}

export function add(a, b) {
  const [x, y, out] = [a.data, b.data, new Float32Array(a.data.length)];
  for (let i = 0; i < out.length; i++) out[i] = x[i] + y[i];
  return matrix(a.rows, a.columns, out, [a, b], (g) => [g, g]);
}

export function times(a, b) {
  const [x, y, out] = [a.data, b.data, new Float32Array(a.data.length)];
  for (let i = 0; i < out.length; i++) out[i] = x[i] * y[i];
  return matrix(a.rows, a.columns, out, [a, b], (g) => [
    a.needs ? times(g, b) : null, b.needs ? times(g, a) : null,
  ]);
}

export const scale = (a, c) => each(a, (v) => v * c, (g) => scale(g, c));
export const shift = (a, c) => each(a, (v) => v + c, (g) => g);
export const minus = (a, b) => add(a, scale(b, -1));

export function transpose(a) {
  const out = new Float32Array(a.data.length);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.columns; j++) out[j * a.rows + i] = a.data[i * a.columns + j];
  }
  return matrix(a.columns, a.rows, out, [a], (g) => [transpose(g)]);
}

/** a (m, k) b (k, n). */
export function product(a, b) {
  const [m, k, n] = [a.rows, a.columns, b.columns];
  const [at, bt, ct] = [0, m * k, m * k + k * n].map((place, i) => place + 4 * i);
  if (loops.heap.length < ct + m * n) loops.grow(ct + m * n);
  loops.heap.set(a.data, at);
  loops.heap.set(b.data, bt);
  loops.gemm(at, bt, ct, m, k, n);
  return matrix(m, n, loops.heap.slice(ct, ct + m * n), [a, b],
    (g) => [
      a.needs ? product(g, transpose(b)) : null, b.needs ? product(transpose(a), g) : null,
    ]);
}

/** The sum over rows, (1, columns). */
export function sumRows(a) {
  const { rows, columns, data } = a;
  const out = new Float64Array(columns);
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j] += data[at++];
  }
  return matrix(1, columns, Float32Array.from(out), [a], (g) => [repeatRow(g, rows)]);
}

/** One row, repeated. */
export function repeatRow(a, rows) {
  const out = new Float32Array(rows * a.columns);
  for (let i = 0; i < rows; i++) out.set(a.data, i * a.columns);
  return matrix(rows, a.columns, out, [a], (g) => [sumRows(g)]);
}

/** The sum over columns, (rows, 1). */
export const sumColumns = (a) => transpose(sumRows(transpose(a)));

/** x weights + bias. */
export function linear(x, weight, bias) {
  const made = product(x, weight);
  for (let i = 0, at = 0; i < made.rows; i++) {
    for (let j = 0; j < made.columns; j++) made.data[at++] += bias.data[j];
  }
  return matrix(made.rows, made.columns, made.data, [x, weight, bias],
    (g) => [
      x.needs ? product(g, transpose(weight)) : null,
      weight.needs ? product(transpose(x), g) : null,
      bias.needs ? sumRows(g) : null,
    ]);
}

/** Columns of a beside those of b. */
export function beside(a, b) {
  const columns = a.columns + b.columns;
  const out = new Float32Array(a.rows * columns);
  for (let i = 0; i < a.rows; i++) {
    out.set(a.data.subarray(i * a.columns, (i + 1) * a.columns), i * columns);
    out.set(b.data.subarray(i * b.columns, (i + 1) * b.columns), i * columns + a.columns);
  }
  return matrix(a.rows, columns, out, [a, b],
    (g) => [part(g, 0, a.columns), part(g, a.columns, columns)]);
}

/** Columns first .. end - 1. */
export function part(a, first, end) {
  const wide = end - first;
  const out = new Float32Array(a.rows * wide);
  for (let i = 0; i < a.rows; i++) {
    out.set(a.data.subarray(i * a.columns + first, i * a.columns + end), i * wide);
  }
  return matrix(a.rows, wide, out, [a], (g) => {
    let whole = g;
    if (first) whole = beside(filled(a.rows, first, 0), whole);
    if (end < a.columns) whole = beside(whole, filled(a.rows, a.columns - end, 0));
    return [whole];
  });
}

export function leaky(a, slope) {
  const [from, bent, out] = [a.data, new Float32Array(a.data.length), new Float32Array(a.data.length)];
  for (let i = 0; i < out.length; i++) {
    bent[i] = from[i] > 0 ? 1 : slope;
    out[i] = bent[i] * from[i];
  }
  const slopes = matrix(a.rows, a.columns, bent);
  return matrix(a.rows, a.columns, out, [a], (g) => [times(g, slopes)]);
}

export function tanh(a) {
  const out = each(a, Math.tanh, (g) => times(g, shift(scale(times(out, out), -1), 1)));
  return out;
}

export const sigmoidOf = (v) => (v < 0 ? 1 - 1 / (1 + Math.exp(v)) : 1 / (1 + Math.exp(-v)));

export function sigmoid(a) {
  const out = each(a, sigmoidOf, (g) => times(g, times(out, shift(scale(out, -1), 1))));
  return out;
}

/** log(1 + exp(a)), exact for large numbers of either sign. */
export const softplus = (a) =>
  each(a, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))), (g) => times(g, sigmoid(a)));

export const sine = (a) => each(a, Math.sin, (g) => times(g, cosine(a)));
export const cosine = (a) => each(a, Math.cos, (g) => scale(times(g, sine(a)), -1));
export const power = (a, p) => each(a, (v) => v ** p, (g) => times(g, scale(power(a, p - 1), p)));

/** The sum of all numbers, (1, 1). */
export const total = (a) => sumRows(sumColumns(a));

/** The gradients of the sum of a's numbers with respect to some matrices, in their order. */
export function gradients(a, wanted) {
  const order = [];
  const seen = new Set();
  const visit = (m) => {
    if (seen.has(m) || !m.needs) return;
    seen.add(m);
    m.from.forEach(visit);
    order.push(m);
  };
  visit(a);
  const found = new Map([[a, filled(a.rows, a.columns, 1)]]);
  for (const m of order.reverse()) {
    const g = found.get(m);
    if (!g || !m.back) continue;
    m.back(g).forEach((one, i) => {
      const source = m.from[i];
      if (source.needs) found.set(source, found.has(source) ? add(found.get(source), one) : one);
    });
  }
  return wanted.map((m) => found.get(m) ?? filled(m.rows, m.columns, 0));
}
