// The game of two perceptrons on points of the plane: one step of ganforge's `gan/step.py`.

import {
  add, beside, detached, gradients, leaky, linear, matrix, minus, parameter, power, scale, shift,
  sigmoidOf, sine, softplus, sumColumns, tanh, times, total,
} from "./tape.mjs";

const BENDS = {
  leaky: (x) => leaky(x, 0.2),
  relu: (x) => leaky(x, 0),
  tanh,
};

/** (real logits, fake logits) -> a loss for each; what D and G minimise. */
export const LOSSES = {
  "non-saturating": {
    d: (real, fake) => add(softplus(scale(real, -1)), softplus(fake)),
    g: (real, fake) => softplus(scale(fake, -1)),
  },
  minimax: {
    d: (real, fake) => add(softplus(scale(real, -1)), softplus(fake)),
    g: (real, fake) => scale(softplus(fake), -1),
  },
  "least-squares": {
    d: (real, fake) => scale(add(power(shift(real, -1), 2), power(fake, 2)), 0.5),
    g: (real, fake) => scale(power(shift(fake, -1), 2), 0.5),
  },
  wasserstein: { d: (real, fake) => minus(fake, real), g: (real, fake) => scale(fake, -1) },
  hinge: {
    d: (real, fake) => add(leaky(shift(scale(real, -1), 1), 0), leaky(shift(fake, 1), 0)),
    g: (real, fake) => scale(fake, -1),
  },
  relativistic: {
    d: (real, fake) => softplus(minus(fake, real)),
    g: (real, fake) => softplus(minus(real, fake)),
  },
};

/** Random numbers from a seed: 32 bits of state, which is enough for a drawing. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** U[0, 1). */
  unit() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** N(0, 1). */
  normal() {
    return Math.sqrt(-2 * Math.log(1 - this.unit())) * Math.cos(2 * Math.PI * this.unit());
  }

  /** Noise (rows, size) of a law. */
  noise(law, rows, size) {
    const one = law === "normal" ? () => this.normal() : () => 2 * this.unit() - 1;
    return matrix(rows, size, Float32Array.from({ length: rows * size }, one));
  }

  /** Points (rows, 2) of a law of laws.py, or a cloud of points. */
  points(law, rows) {
    const out = new Float32Array(2 * rows);
    for (let i = 0; i < rows; i++) {
      const [a, b] = [this.normal(), this.normal()];
      if (law.matrix) {
        const [[p, q], [r, s]] = law.matrix;
        out.set([a * p + b * r + law.shift[0], a * q + b * s + law.shift[1]], 2 * i);
      } else {
        const [x, y] = law.means[Math.floor(this.unit() * law.means.length)];
        out.set([x + law.sigma * a, y + law.sigma * b], 2 * i);
      }
    }
    return matrix(rows, 2, out);
  }
}

/** Weights of a player: w0, b0, ... of its layers, and those of its sines before them. */
export function fresh(player, random) {
  const { sizes, sines, frequency, init } = player;
  const filled = (rows, columns, f) =>
    parameter(rows, columns, Float32Array.from({ length: rows * columns }, f));
  const weights = [];
  if (sines) {
    const octaves = Array.from({ length: sines }, () => frequency * 2 ** (-5 * random.unit()));
    weights.push(filled(sizes[0], sines, (_, i) => random.normal() * octaves[i % sines]));
    weights.push(filled(1, sines, () => Math.PI * (2 * random.unit() - 1)));
  }
  sizes.slice(1).forEach((outputs, i) => {
    const inputs = sizes[i] + (i === 0 ? sines : 0);
    const bound = 1 / Math.sqrt(inputs);
    const uniform = (b) => () => b * (2 * random.unit() - 1);
    const laws = {
      normal: () => init.scale * random.normal(),
      he: uniform(Math.sqrt(6 / inputs)),
      default: uniform(bound),
    };
    const law = laws[init.law] ?? laws.default;
    const last = i === sizes.length - 2 && init.law === "he";
    weights.push(filled(inputs, outputs, last ? laws.default : law));
    weights.push(filled(1, outputs, init.biases ? law : init.law === "he" ? () => 0 : laws.default));
  });
  return weights;
}

/** What a player makes of x (rows, inputs). */
export function play(player, weights, x) {
  let [out, at] = [x, 0];
  if (player.sines) {
    out = beside(x, sine(linear(x, weights[0], weights[1])));
    at = 2;
  }
  const activation = BENDS[player.activation];
  for (; at < weights.length; at += 2) {
    out = linear(out, weights[at], weights[at + 1]);
    if (at + 2 < weights.length) out = activation(out);
  }
  return out;
}

/** A game: players, weights, optimisers. `settings` may change between steps. */
export class Game {
  constructor(description, seed = 0) {
    this.settings = structuredClone(description);
    this.random = new Random(seed);
    this.weights = {};
    this.moments = {};
    for (const side of ["generator", "discriminator"]) {
      this.weights[side] = fresh(description.players[side], this.random);
      this.moments[side] = this.weights[side].map((w) => ({
        first: new Float32Array(w.data.length), second: new Float32Array(w.data.length),
      }));
    }
    this.turns = { generator: 0, discriminator: 0 };
    this.steps = 0;
    this.log = {};
  }

  generate = (z) => play(this.settings.players.generator, this.weights.generator, z);
  judge = (x) => play(this.settings.players.discriminator, this.weights.discriminator, x);
  /** As `judge`, with weights that get no gradient. */
  judgeOnly = (x) => play(this.settings.players.discriminator, this.weights.discriminator.map(detached), x);

  /** The mean or the sum over the batch. */
  reduced(losses) {
    const sum = total(losses);
    return this.settings.reduction === "sum" ? sum : scale(sum, 1 / losses.rows);
  }

  /** |grad D|^2 at x for each example. */
  squaredGradient(x) {
    const at = parameter(x.rows, x.columns, x.data);
    const [gradient] = gradients(this.judge(at), [at]);
    return sumColumns(times(gradient, gradient));
  }

  /** What a penalty adds for each example. */
  penalty({ kind, gamma, weight, target }, real, fake, epsilon) {
    if (kind === "r1") return scale(this.squaredGradient(real), 0.5 * gamma);
    if (kind === "r2") return scale(this.squaredGradient(fake), 0.5 * gamma);
    const mixed = matrix(real.rows, real.columns, real.data.map((v, i) => {
      const e = epsilon[Math.floor(i / real.columns)];
      return e * v + (1 - e) * fake.data[i];
    }));
    const norm = power(shift(this.squaredGradient(mixed), 1e-24), 0.5);
    return scale(power(shift(norm, -target), 2), weight);
  }

  /** One update of D at real points and the noise of fakes. */
  discriminatorTurn(real, z, epsilon) {
    const { loss, halve, penalties } = this.settings;
    const fake = detached(this.generate(z));
    const [onReal, onFake] = [this.judge(real), this.judge(fake)];
    const adversarial = scale(this.reduced(LOSSES[loss].d(onReal, onFake)), halve ? 0.5 : 1);
    let objective = adversarial;
    for (const one of penalties) {
      if (this.steps % one.interval === 0) {
        const values = this.penalty(one, real, fake, epsilon);
        objective = add(objective, scale(this.reduced(values), one.interval * (one.scale ?? 1)));
      }
    }
    this.update("discriminator", gradients(objective, this.weights.discriminator));
    const mean = (m) => m.data.reduce((sum, a) => sum + sigmoidOf(a), 0) / m.rows;
    const rows = this.settings.reduction === "sum" ? real.rows : 1;
    this.log.d = { loss: adversarial.data[0] / rows, real: mean(onReal), fake: mean(onFake) };
  }

  /** One update of G; real points for losses that compare. */
  generatorTurn(real, z) {
    const fake = this.generate(z);
    const logits = this.judgeOnly(fake);
    const onReal = this.judgeOnly(real);
    const objective = this.reduced(LOSSES[this.settings.loss].g(onReal, logits));
    this.update("generator", gradients(objective, this.weights.generator));
    this.log.g = { loss: objective.data[0] / (this.settings.reduction === "sum" ? z.rows : 1) };
  }

  /**
   * One iteration of Algorithm 1. draws: d_steps of { real, z, epsilon } for D, and g_steps noises
   * for G, of which the first is D's last one if the game reuses it.
   */
  step({ discriminator, generator }) {
    for (const { real, z, epsilon } of discriminator) this.discriminatorTurn(real, z, epsilon);
    const { real, z } = discriminator.at(-1);
    generator.forEach((noise, i) => this.generatorTurn(real, this.settings.fresh_noise || i ? noise : z));
    this.steps++;
  }

  /** Fresh draws for a step. */
  draws(law) {
    const { batch, d_steps, g_steps, noise } = this.settings;
    const z = () => this.random.noise(noise.law, batch, noise.size);
    return {
      discriminator: Array.from({ length: d_steps }, () => ({
        real: law(batch), z: z(), epsilon: Array.from({ length: batch }, () => this.random.unit()),
      })),
      generator: Array.from({ length: g_steps }, z),
    };
  }

  /** A step of a player's optimiser; skipped whole if a gradient is not finite. */
  update(side, found) {
    const { name, lr, betas: [one, two] } = this.settings.optimizers[side];
    if (!found.every((g) => g.data.every(Number.isFinite))) return;
    const count = ++this.turns[side];
    const [first, second] = [1 - one ** count, Math.sqrt(1 - two ** count)];
    this.weights[side].forEach((weight, w) => {
      const [p, g, m] = [weight.data, found[w].data, this.moments[side][w]];
      for (let i = 0; i < p.length; i++) {
        if (name === "sgd") {
          p[i] -= lr * g[i];
          continue;
        }
        m.first[i] = one * m.first[i] + (1 - one) * g[i];
        m.second[i] = two * m.second[i] + (1 - two) * g[i] * g[i];
        p[i] -= ((lr / first) * m.first[i]) / (Math.sqrt(m.second[i]) / second + 1e-8);
      }
    });
  }
}
