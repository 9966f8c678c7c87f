// The page of the game: two players that learn while one looks.

import { fastest, fromBase64 } from "./engine.mjs";
import { computeWith, detached, gradients, matrix, parameter, sigmoidOf, total } from "./tape.mjs";
import { Game, LOSSES } from "./game.mjs";
import { $, axes, colour, dots, on, options, path, surface, view } from "./drawing.mjs";

const CELLS = 36; // of D's map, a side
const SHOWN = 400; // points of each kind
const ARROWS = 70;
const LINES = 11; // of the net of noise, each way
const HISTORY = 600; // points of a chart
const NUMBERS = [34, 16]; // pixels of a chart that its numbers take, left and below
const SPEEDS = [["a step every second", 1], ["5 steps a second", 5], ["30 steps a second", 30],
  ["150 steps a second", 150], ["as fast as possible", Infinity]];
const RELATIVE = ["relativistic", "wasserstein"]; // losses of differences of D's answers alone
const HIDDEN = ["", "8", "32", "32 + 32", "64 + 64", "128 + 128 + 128"]; // units of layers
const NONE = -4.2; // the slider's place of no penalty
const NAMES = { gaussian: "one Gaussian", ring: "ring of 8", grid: "grid of 25", spirals: "two spirals" };

const PLAYERS = [["hidden-d", "discriminator"], ["hidden-g", "generator"]];

const given = JSON.parse($("game").textContent);
const state = { running: false, speed: 3, owed: 0, before: 0, seed: 1, show: { map: true, flow: true, net: false } };
let [game, law, history, cloud] = [null, null, [], []];

async function start() {
  const { loops, how } = await fastest(fromBase64($("engine").textContent));
  computeWith(loops);
  $("engine-note").textContent = `Computed by ${how} in this page: nothing is loaded and nothing is sent.`;
  options("law", [...Object.keys(given.laws), "by-hand"], (name) => NAMES[name] ?? "draw them");
  options("loss", Object.keys(LOSSES), (name) => name);
  for (const [id, side] of PLAYERS) {
    const usual = given.players[side].sizes.slice(1, -1).join(" + ");
    options(id, [...new Set([usual, ...HIDDEN])], (units) => units || "none: a linear map");
    $(id).value = usual;
  }
  $("law").value = given.law;
  $("loss").value = given.loss;
  $("rate-d").value = Math.log10(given.optimizers.discriminator.lr);
  $("rate-g").value = Math.log10(given.optimizers.generator.lr);
  $("turns").value = given.d_steps;
  const gamma = startingGamma();
  $("gamma").value = gamma > 0 ? Math.log10(gamma) : NONE;
  listen();
  $("main").hidden = false;
  begin();
  globalThis.lab = { get game() { return game; }, once, draw, state };
  document.documentElement.dataset.ready = "yes";
}

/** A constant penalty in the middle of the recipe's falling one. */
function startingGamma() {
  const one = given.penalties[0] ?? {};
  return one.kind === "gradient-penalty" ? one.weight : Math.sqrt((one.gamma ?? 0) * (one.gamma_to ?? one.gamma ?? 0));
}

/** Fresh players and a law. */
function begin() {
  const name = $("law").value;
  law = name === "by-hand" ? drawnLaw() : given.laws[name];
  $("by-hand").hidden = name !== "by-hand";
  const chosen = structuredClone(given);
  for (const [id, side] of PLAYERS) {
    const { sizes } = chosen.players[side];
    sizes.splice(1, sizes.length - 2, ...$(id).value.split(" + ").filter(Boolean).map(Number));
  }
  game = new Game(chosen, state.seed);
  history = [];
  state.owed = 0;
  const spread = (d) => law.scale[d] * (name === "gaussian" ? 3.2 : 2.1);
  const reach = Math.max(spread(0), spread(1));
  state.extent = [0, 1].map((d) => [law.offset[d] - reach, law.offset[d] + reach]);
  state.real = realPoints(SHOWN);
  state.z = game.random.noise(given.noise.law, SHOWN, given.noise.size);
  settings();
  if (name === "by-hand" && cloud.length < 2) run(false);
  draw();
}

/** The drawn points as a law: each with a little room around it. */
function drawnLaw() {
  return { means: cloud.length ? cloud : [[0, 0]], sigma: 0.03, offset: [0, 0], scale: [1, 1] };
}

/** Real points in the units of the players. */
function realPoints(rows) {
  const points = game.random.points(law, rows);
  return matrix(rows, 2, points.data.map((v, i) => (v - law.offset[i % 2]) / law.scale[i % 2]));
}

/** Points of the players in the units of the law. */
const placed = (data) => data.map((v, i) => v * law.scale[i % 2] + law.offset[i % 2]);

const short = (x) => (x >= 0.001 ? String(Number(x.toPrecision(2))) : x.toExponential(0));

function settings() {
  const [d, g] = ["rate-d", "rate-g"].map((id) => 10 ** Number($(id).value));
  const gamma = Number($("gamma").value) <= NONE ? 0 : 10 ** Number($("gamma").value);
  const to = game.settings;
  to.loss = $("loss").value;
  to.d_steps = Number($("turns").value);
  to.optimizers.discriminator.lr = d;
  to.optimizers.generator.lr = g;
  const kinds = given.penalties.length ? given.penalties : [{ kind: "r1", interval: 1 }];
  to.penalties = gamma ? kinds.map((p) => ({ ...p, gamma, weight: gamma })) : [];
  $("rate-d-value").textContent = short(d);
  $("rate-g-value").textContent = short(g);
  $("turns-value").textContent = String(to.d_steps);
  $("gamma-value").textContent = gamma ? short(gamma) : "0";
  $("relative").hidden = !RELATIVE.includes(to.loss);
  state.speed = Number($("speed").value);
  $("speed-value").textContent = SPEEDS[state.speed][0];
}

function listen() {
  on("run", "click", () => run(!state.running));
  on("step", "click", () => { run(false); once(); draw(); });
  for (const side of ["d", "g"]) on(`step-${side}`, "click", () => { run(false); once(side); draw(); });
  on("reset", "click", () => { state.seed++; begin(); });
  for (const id of ["law", "hidden-d", "hidden-g"]) on(id, "change", begin);
  on("clear", "click", () => { cloud = []; begin(); });
  for (const id of ["loss", "rate-d", "rate-g", "turns", "gamma", "speed"]) on(id, "input", settings);
  for (const what of Object.keys(state.show)) {
    on(`show-${what}`, "click", () => {
      state.show[what] = !state.show[what];
      $(`show-${what}`).setAttribute("aria-pressed", String(state.show[what]));
      draw();
    });
  }
  for (const event of ["pointerdown", "pointermove"]) on("board", event, paint);
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

/** Adds the points of a stroke. */
function paint(event) {
  if ($("law").value !== "by-hand" || (event.type === "pointermove" && !(event.buttons & 1))) return;
  const box = $("board").getBoundingClientRect();
  const seen = view(...state.extent, box.width, box.height);
  cloud.push(seen.from(event.clientX - box.left, event.clientY - box.top));
  law = drawnLaw();
  state.real = realPoints(SHOWN);
  if (!state.running) draw();
}

function run(running) {
  state.running = running && !($("law").value === "by-hand" && !cloud.length);
  if (running && !state.running) $("error").textContent = "Draw some points on the picture first.";
  else $("error").textContent = "";
  $("run").textContent = state.running ? "Stop" : "Run";
  $("board").style.touchAction = $("law").value === "by-hand" ? "none" : "";
  if (state.running) {
    state.before = performance.now();
    requestAnimationFrame(frame);
  }
}

/** As many steps as the speed allows, but no more than a frame's time. */
function frame(now) {
  if (!state.running) return;
  const rate = SPEEDS[state.speed][1];
  state.owed = Math.min(state.owed + ((now - state.before) / 1000) * rate, Math.max(1, rate / 10));
  state.before = now;
  const until = performance.now() + 24;
  let moved = false;
  while ((rate === Infinity || state.owed >= 1) && performance.now() < until) {
    once();
    state.owed -= 1;
    moved = true;
  }
  if (rate === Infinity) state.owed = 0;
  if (moved) draw();
  requestAnimationFrame(frame);
}

/** One step, or one turn of a player. */
function once(side = "") {
  const draws = game.draws(realPoints);
  if (side === "d") {
    for (const { real, z, epsilon } of draws.discriminator) game.discriminatorTurn(real, z, epsilon);
  } else if (side === "g") game.generatorTurn(draws.discriminator[0].real, draws.generator[0]);
  else game.step(draws);
  const { d, g } = game.log;
  if (d && g && !side) {
    history.push([d.loss, g.loss, d.real, d.fake]);
    if (history.length > 2 * HISTORY) history = history.filter((_, i) => i % 2 || i > HISTORY);
  }
}

// --- drawing ----------------------------------------------------------------------------------

function draw() {
  const s = surface($("board"));
  const seen = view(...state.extent, s.width, s.height);
  if (state.show.map) drawMap(s, seen);
  axes(s, seen);
  dots(s.context, seen, placed(state.real.data), colour("real"), 1.8, 0.55);
  if (state.show.net && given.noise.size === 2) drawNet(s, seen);
  const fakes = detached(game.generate(state.z));
  if (state.show.flow) drawFlow(s, seen, fakes);
  dots(s.context, seen, placed(fakes.data), colour("fake"), 2.1, 0.85);
  $("count").textContent = `Step ${game.steps.toLocaleString("en")}`;
  drawChart("losses", [0, 1], ["d", "g"]);
  drawChart("beliefs", [2, 3], ["real", "fake"], [0, 1]);
}

/** The ground, coloured by what D says. */
function drawMap({ context, width, height }, seen) {
  const places = new Float32Array(2 * CELLS * CELLS);
  for (let i = 0; i < CELLS * CELLS; i++) {
    const [x, y] = seen.from(((i % CELLS) + 0.5) * width / CELLS, (Math.floor(i / CELLS) + 0.5) * height / CELLS);
    places.set([(x - law.offset[0]) / law.scale[0], (y - law.offset[1]) / law.scale[1]], 2 * i);
  }
  const logits = game.judgeOnly(matrix(CELLS * CELLS, 2, places)).data;
  const middle = RELATIVE.includes(game.settings.loss) ? meanAnswer() : 0;
  const image = new ImageData(CELLS, CELLS);
  const tones = ["fake", "real"].map((name) => colour(name).trim().match(/\w\w/g).map((v) => parseInt(v, 16)));
  for (let i = 0; i < logits.length; i++) {
    const belief = 2 * sigmoidOf(logits[i] - middle) - 1;
    image.data.set([...tones[belief > 0 ? 1 : 0], 120 * Math.abs(belief)], 4 * i);
  }
  const small = document.createElement("canvas");
  Object.assign(small, { width: CELLS, height: CELLS });
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, width, height);
}

/** The mean answer of D to the points that are shown. */
function meanAnswer() {
  const answers = [state.real, detached(game.generate(state.z))].flatMap((x) => [...game.judgeOnly(x).data]);
  return answers.reduce((sum, a) => sum + a, 0) / answers.length;
}

/** Arrows from points of G to where G's loss falls fastest. */
function drawFlow({ context }, seen, fakes) {
  const at = parameter(ARROWS, 2, fakes.data.slice(0, 2 * ARROWS));
  const onReal = game.judgeOnly(matrix(ARROWS, 2, state.real.data.slice(0, 2 * ARROWS)));
  const [slope] = gradients(total(LOSSES[game.settings.loss].g(onReal, game.judgeOnly(at))), [at]);
  const [from, to] = [placed(at.data), placed(at.data.map((v, i) => v - slope.data[i]))];
  context.strokeStyle = colour("g");
  context.lineWidth = 1.3;
  context.beginPath();
  for (let i = 0; i < ARROWS; i++) {
    const [x, y] = seen.to(from[2 * i], from[2 * i + 1]);
    const [u, v] = seen.to(to[2 * i], to[2 * i + 1]);
    const length = Math.hypot(u - x, v - y);
    if (length < 0.5) continue;
    const drawn = Math.min(38, 4 * Math.sqrt(length));
    const [p, q] = [((u - x) / length) * drawn, ((v - y) / length) * drawn];
    context.moveTo(x, y);
    context.lineTo(x + p, y + q);
    context.lineTo(x + 0.72 * p - 0.16 * q, y + 0.72 * q + 0.16 * p);
    context.moveTo(x + p, y + q);
    context.lineTo(x + 0.72 * p + 0.16 * q, y + 0.72 * q - 0.16 * p);
  }
  context.stroke();
}

/** The plane of noise as G bends it. */
function drawNet({ context }, seen) {
  const reach = given.noise.law === "normal" ? 2.2 : 1;
  const steps = 30;
  for (const across of [true, false]) {
    const z = [];
    for (let i = 0; i < LINES; i++) {
      for (let j = 0; j <= steps; j++) {
        const pair = [(2 * i) / (LINES - 1) - 1, (2 * j) / steps - 1].map((v) => v * reach);
        z.push(...(across ? pair.reverse() : pair));
      }
    }
    const points = placed(game.generate(matrix(z.length / 2, 2, Float32Array.from(z))).data);
    const row = 2 * (steps + 1);
    for (let i = 0; i < LINES; i++) path(context, seen, points.subarray(i * row, (i + 1) * row), colour("fake"), 0.8);
  }
}

function drawChart(id, columns, colours, range = null) {
  const s = surface($(id), 190);
  const rows = history;
  const values = rows.flatMap((r) => columns.map((c) => r[c])).filter(Number.isFinite);
  let [low, high] = range ?? [Math.min(...values), Math.max(...values)];
  if (!(high > low)) [low, high] = [(Number.isFinite(low) ? low : 0) - 0.5, (Number.isFinite(high) ? high : 1) + 0.5];
  const margin = 0.08 * (high - low);
  const last = Math.max(game.steps, 10);
  // the numbers of the axes stand beside the lines: below and left of them
  const [aside, below] = [(last * NUMBERS[0]) / (s.width - NUMBERS[0]), ((high - low + 2 * margin) * NUMBERS[1]) / (s.height - NUMBERS[1])];
  const seen = view([-aside, last], [low - margin - below, high + margin], s.width, s.height, true);
  axes(s, seen);
  const each = game.steps / Math.max(1, rows.length);
  columns.forEach((c, i) => {
    const line = Float32Array.from({ length: 2 * rows.length }, (_, k) => (k % 2 ? rows[k >> 1][c] : ((k >> 1) + 1) * each));
    if (rows.length > 1) path(s.context, seen, line, colour(colours[i]), 1.4);
  });
}

start().catch((error) => {
  $("error").textContent = `The game cannot start: ${error.message}`;
});
