// The page of a generator: one sample, a grid, a walk between two noises, a plane of noises.

import { Engine, fastest, fromBase64 } from "./engine.mjs";
import { REACH, Sampler, between, onPlane } from "./sampler.mjs";
import { $, axes, colour, dots, on, path, ring, savePNG, surface, view } from "./drawing.mjs";

const POINTS = 2000;
const MAP = 7; // pictures of a side of the plane
const STRIP = 9;
const WALK = 4; // seconds

const model = JSON.parse($("model").textContent);
const [channels, height, width] = model.shape.length === 3 ? model.shape : [0, 0, 0];
const CODE = { low: -2, high: 2, step: 0.05 }; // of a slider; a code's law is about [-1, 1]
const state = { seed: 0n, index: 0, label: 0, truncation: 1, codes: {}, way: 0.5, to: 1, place: [0.35, 0.35] };
const shown = {}; // what the canvases have
let [sampler, drawn] = [null, 0];

async function start() {
  const { loops, how, fault } = await fastest(fromBase64($("engine").textContent));
  sampler = new Sampler(model, new Engine(model, fromBase64($("weights").textContent), loops));
  $("weights").remove();
  fromAddress();
  describe();
  listen();
  $("main").hidden = false;
  const before = performance.now();
  sampler.samples(1);
  const took = performance.now() - before;
  shown.pieces = took > 40 ? 1 : 4; // slow generators answer after every picture
  draw();
  const why = fault ? `, as WebAssembly with SIMD is missing here (${fault})` : "";
  $("engine-note").textContent = `Computed by ${how}${why}; the first sample took ${took < 10 ? took.toFixed(1) : Math.round(took)} ms.`;
  globalThis.demo = { model, sampler, samples: (count, options) => sampler.samples(count, options) };
  document.documentElement.dataset.ready = "yes";
}

// --- what the page says -----------------------------------------------------------------------

const plural = (count, name) => `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"}`;
/** Whether the noise is one number, or two, and no codes. */
const noiseIs = (count) => model.noise.size === count && !sampler.codes.length;
const nameOf = (label) => model.class_names[label] ?? String(label);

function describe() {
  const thing = sampler.pictures
    ? `pictures of ${height} × ${width} pixels`
    : model.shape[0] === 1 ? "numbers" : model.shape[0] === 2 ? "points of the plane" : `vectors of ${plural(model.shape[0], "number")}`;
  const coded = sampler.codes.length ? ` and ${plural(sampler.codes.length, "code")}` : "";
  const labelled = model.classes ? ` and one of ${plural(model.classes, "label")}` : "";
  $("lead").textContent =
    `This generator makes ${thing} from ${plural(sampler.plain, "random number")}${coded}${labelled}. ` +
    "It runs in this page: nothing is loaded and nothing is sent.";
  $("truncation-law").textContent = model.truncation === "style"
    ? "(below 1 styles are nearer to the average one)" : "(below 1 the noise is smaller)";
  $("index-field").querySelector("label").textContent = sampler.pictures ? "Picture number" : "First sample";
  if (model.classes) showLabels();
  for (const code of sampler.codes) showCode(code);
  if (sampler.pictures) describePictures();
  else describeVectors();
  showState();
}

function showLabels() {
  $("labels").hidden = false;
  for (let label = 0; label < model.classes; label++) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = nameOf(label);
    button.addEventListener("click", () => change({ label }));
    $("choices").append(button);
  }
}

/** The control of a code: a button for each class, or a slider, and one that draws it again. */
function showCode({ name, law, size }) {
  const field = document.createElement("fieldset");
  field.className = "field";
  field.append(Object.assign(document.createElement("legend"), { textContent: `Code ${name}` }));
  const choices = Object.assign(document.createElement("div"), { className: "choices" });
  const choice = (text, value) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    button.dataset.value = value ?? "";
    button.addEventListener("click", () => change({ codes: withCode(name, value) }));
    choices.append(button);
  };
  choice("drawn");
  if (law === "categorical") for (let value = 0; value < size; value++) choice(String(value), value);
  else {
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: CODE.low, max: CODE.high, step: CODE.step, value: 0 });
    slider.setAttribute("aria-label", `Code ${name}`);
    slider.addEventListener("input", () => change({ codes: withCode(name, Number(slider.value)) }));
    choices.append(slider, document.createElement("output"));
  }
  field.append(choices);
  field.dataset.code = name;
  $("codes").append(field);
}

/** The chosen codes with another value of one; undefined for a code that is drawn. */
function withCode(name, value) {
  const { [name]: before, ...others } = state.codes;
  return value === undefined ? others : { ...others, [name]: value };
}

function showCodes() {
  for (const field of $("codes").children) {
    const value = state.codes[field.dataset.code];
    for (const button of field.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.value === String(value ?? "")));
    }
    const slider = field.querySelector("input");
    if (slider) slider.nextSibling.textContent = value === undefined ? "" : String(value);
    if (slider && value !== undefined) slider.value = value;
  }
}

/** The chosen codes as an argument of `sample`, or nothing. */
function codesInPython() {
  const pairs = Object.entries(state.codes).map(([name, value]) => `"${name}": ${value}`);
  return pairs.length ? [`codes={${pairs.join(", ")}}`] : [];
}

function describePictures() {
  const [rows, columns] = layout();
  for (const id of ["picture", "walk", "plane-picture"]) $(id).classList.add("pixels");
  for (const id of ["picture", "walk", "plane-picture", "plane"]) $(id).style.aspectRatio = `${width} / ${height}`;
  $("grid-title").textContent = model.classes ? "Every label" : `${rows * columns} pictures of this seed`;
  $("grid-text").textContent = model.classes
    ? "One label in each column, and another noise in each row. Choose a picture to see it above."
    : "Choose a picture to see it above.";
  $("walk-text").textContent =
    "Each picture differs a little from the one before it. Jumps would be a sign of examples learned by heart.";
  $("plane-text").textContent = noiseIs(2)
    ? "The noise of this generator has two numbers: this is all that it can make. Drag over it."
    : "Three noises of this seed span a plane; the picture above is in its middle. Drag over it, or use the arrow keys.";
}

function describeVectors() {
  const line = model.shape[0] === 1;
  for (const id of ["stage", "walk-stage", "plane-stage"]) $(id).classList.add("wide");
  $("grid-section").hidden = true;
  $("save").textContent = "Save the drawing";
  $("walk-text").textContent = "The line is what the generator makes of all noises on the way.";
  if (noiseIs(1)) {
    $("walk-title").textContent = "The generator as a curve";
    $("walk-text").textContent = "Its noise is one number: this is what it makes of every one.";
    $("elsewhere").hidden = true;
  }
  $("plane-section").hidden = line || model.noise.size < 2;
  $("plane-text").textContent = noiseIs(2)
    ? "The noise of this generator has two numbers, and the net is the plane of all noises as the generator bends it. Drag on the plane of noises, or use the arrow keys."
    : "Three noises of this seed span a plane; the net is what the generator makes of it. Drag on the plane, or use the arrow keys.";
  $("strip").hidden = true;
  if (noiseIs(2)) $("plane").style.aspectRatio = "1";
}

/** Rows and columns of the grid. */
function layout() {
  if (!model.classes) return [8, 8];
  const columns = model.classes > 16 ? Math.ceil(Math.sqrt(model.classes)) : model.classes;
  const rows = model.classes > 16 ? Math.ceil(model.classes / columns) : Math.min(8, Math.max(2, Math.round(64 / columns)));
  return [rows, columns];
}

function showState() {
  const { seed, index, label, truncation } = state;
  const options = [sampler.pictures ? 1 : POINTS];
  if (model.classes) options.push(`labels=${label}`);
  options.push(`seed=${seed}`);
  if (index) options.push(`first=${index}`);
  if (truncation !== 1) options.push(`truncation=${truncation}`);
  options.push(...codesInPython());
  $("python").textContent = `gf.load("RUN").sample(${options.join(", ")})`;
  $("truncation-value").textContent = String(truncation);
  $("truncation").value = truncation;
  $("seed").value = String(seed);
  $("index").value = String(index);
  showCodes();
  [...$("choices").children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === label)));
  const what = model.classes ? `, label ${nameOf(label)}` : "";
  $("caption").textContent = sampler.pictures
    ? `Picture ${index} of seed ${seed}${what}`
    : `${POINTS.toLocaleString("en")} samples of seed ${seed}${what}`;
  for (const id of ["picture", "walk", "plane-picture"]) $(id).setAttribute("aria-label", `${$("caption").textContent}, made by ${model.name}`);
}

// --- what the reader does ---------------------------------------------------------------------

/** The whole number in a text field; throws a RangeError for anything else. */
function parsed(name, text, least) {
  const found = /^\s*([+-]?\d{1,19})\s*$/.exec(text);
  const value = found ? BigInt(found[1]) : 0n;
  const most = name === "seed" ? (1n << 63n) - 1n : (1n << 53n) - 1_000_000n;
  if (!found || value < least || value > most) {
    throw new RangeError(`${name} = ${text}: expected a whole number from ${least} to ${most}`);
  }
  return value;
}

/** A change of the state, or a message why there is none. */
function change(values) {
  try {
    $("error").textContent = "";
    Object.assign(state, typeof values === "function" ? values() : values);
  } catch (error) {
    $("error").textContent = error.message;
    return;
  }
  showState();
  draw();
}

/** The state from the address, as in demo.html#seed=3&label=4 or demo.html#code.digit=3. */
function fromAddress() {
  try {
    const given = new URLSearchParams(location.hash.slice(1));
    if (given.has("seed")) state.seed = parsed("seed", given.get("seed"), 1n - (1n << 63n));
    if (given.has("index")) state.index = Number(parsed("sample number", given.get("index"), 0n));
    if (given.has("label")) state.label = sampler.labels(1, Number(given.get("label")))?.[0] ?? 0;
    const t = given.has("truncation") ? Number(given.get("truncation")) : 1;
    if (!(t > 0 && t <= 1)) throw new RangeError(`truncation = ${t}: expected more than 0 and at most 1`);
    state.truncation = t;
    for (const { name } of sampler.codes) {
      const text = given.get(`code.${name}`);
      if (text !== null) state.codes = withCode(name, text.trim() === "" ? NaN : Number(text));
    }
    sampler.noise(1, 0, 0, state.codes); // the codes are checked
  } catch (error) {
    state.codes = {};
    $("error").textContent = error.message;
  }
}

function listen() {
  on("seed", "change", () => change(() => ({ seed: parsed("seed", $("seed").value, 1n - (1n << 63n)) })));
  on("index", "change", () => change(() => ({ index: Number(parsed("sample number", $("index").value, 0n)) })));
  on("another", "click", () => change(sampler.pictures ? { index: state.index + 1 } : { seed: state.seed + 1n }));
  on("truncation", "input", () => change({ truncation: Number($("truncation").value) }));
  on("save", "click", save);
  on("copy", "click", copy);
  on("save-grid", "click", () => savePNG(shown.grid, `${model.name}-grid-seed${state.seed}`));
  on("way", "input", () => { stop(); state.way = $("way").value / 100; drawWalk(); });
  on("play", "click", play);
  on("elsewhere", "click", () => change({ to: farEnd(state.to) }));
  on("grid", "click", (event) => {
    const box = $("grid").getBoundingClientRect();
    const [rows, columns] = layout();
    choose(Math.floor(((event.clientY - box.top) / box.height) * rows) * columns +
      Math.floor(((event.clientX - box.left) / box.width) * columns));
  });
  on("grid", "keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -layout()[1], ArrowDown: layout()[1] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(Math.min(shown.cells - 1, Math.max(0, (shown.cell ?? 0) + step)));
  });
  for (const event of ["pointerdown", "pointermove"]) {
    on("plane", event, (e) => {
      if (event === "pointermove" && !(e.buttons & 1) && e.pointerType !== "touch") return;
      if (event === "pointerdown") $("plane").setPointerCapture(e.pointerId);
      const box = $("plane").getBoundingClientRect();
      const at = (p, from, size) => Math.max(-1, Math.min(1, (2 * (p - from)) / size - 1));
      move([at(e.clientX, box.left, box.width), -at(e.clientY, box.top, box.height)]);
    });
  }
  on("plane", "keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(state.place.map((v, d) => Math.max(-1, Math.min(1, v + step[d] / 12))));
  });
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 100); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

/** Shows a cell of the grid above. */
function choose(cell) {
  shown.cell = cell;
  change({ label: model.classes ? cell % model.classes : 0, index: cell });
}

function move(place) {
  state.place = place;
  $("plane").setAttribute("aria-valuenow", place[0].toFixed(2));
  $("plane").setAttribute("aria-valuetext", `${place[0].toFixed(2)} across, ${place[1].toFixed(2)} up`);
  drawPlane();
}

function save() {
  const label = model.classes ? `-label${state.label}` : "";
  const name = `${model.name}-seed${state.seed}-${state.index}${label}`;
  savePNG(sampler.pictures ? shown.picture : $("picture"), name);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(`import ganforge as gf\n${$("python").textContent}\n`);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("python"));
    $("copy").textContent = "Selected: now copy it";
  }
  setTimeout(() => { $("copy").textContent = "Copy the Python line"; }, 2500);
}

let playing = 0;

function stop() {
  cancelAnimationFrame(playing);
  playing = 0;
  $("play").textContent = "Play";
}

function play() {
  if (playing) return stop();
  $("play").textContent = "Stop";
  let before = performance.now();
  const step = (now) => {
    state.way = (state.way + (now - before) / 1000 / WALK) % 1;
    before = now;
    $("way").value = 100 * state.way;
    drawWalk();
    playing = requestAnimationFrame(step);
  };
  playing = requestAnimationFrame(step);
  return undefined;
}

// --- drawing ----------------------------------------------------------------------------------

/** Draws everything; slow parts come in pieces, so that the page answers in between. */
function draw() {
  drawn++;
  if (!sampler.pictures) drawSamples();
  const { seed, index, to } = state;
  shown.noises = [0, to, to + 1].map((d) => sampler.noise(1, seed, index + d, state.codes));
  if (sampler.pictures) drawPictures();
  drawWalk();
  if (!$("plane-section").hidden) drawPlane();
}

const label = (count) => sampler.labels(count, model.classes ? state.label : null);

/** The sample of a noise, decoded. */
const made = (z, count = 1) => sampler.decoded(sampler.generate(z, label(count), state.truncation));

/** Levels (C, H, W) of one picture as a canvas of its size. */
function pictured(levels, start = 0) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  const area = width * height;
  const coloured = channels >= 3;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = levels[start + (coloured ? c : 0) * area + i];
    image.data[4 * i + 3] = channels === 2 || channels === 4 ? levels[start + (channels - 1) * area + i] : 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function show(id, picture) {
  const canvas = $(id);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").clearRect(0, 0, width, height);
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/**
 * Calls f(cell, picture) for many noises, a few in each turn, as long as `current()` says so, and
 * done() after the last.
 */
function inTurns(current, count, noises, labels, f, done) {
  let next = 0;
  const turn = () => {
    if (!current()) return;
    const until = performance.now() + 25;
    while (next < count && performance.now() < until) {
      const size = Math.min(shown.pieces, count - next);
      const z = noises(next, size);
      const levels = sampler.decoded(sampler.generate(z, labels?.slice(next, next + size), state.truncation));
      for (let i = 0; i < size; i++) f(next + i, pictured(levels, i * sampler.size));
      next += size;
    }
    if (next < count) setTimeout(turn);
    else done();
  };
  setTimeout(turn);
}

function drawPictures() {
  shown.picture = pictured(made(shown.noises[0]));
  show("picture", shown.picture);
  const [rows, columns] = layout();
  const count = model.classes > 16 ? model.classes : rows * columns;
  if (shown.gridKey !== key()) {
    Object.assign(shown, { gridKey: key(), cells: count, cell: undefined });
    drawGrid(rows, columns, count);
  }
  drawMap();
  drawStrip();
}

let grids = 0;

function drawGrid(rows, columns, count) {
  const grid = $("grid");
  Object.assign(grid, { width: columns * width, height: rows * height });
  const enlarged = Math.max(1, Math.min(Math.floor(944 / grid.width), Math.round(84 / width)));
  for (const id of ["grid", "under-grid"]) $(id).style.width = `min(100%, ${grid.width * enlarged}px)`;
  shown.grid = grid;
  const { seed, truncation } = state;
  const options = [count, `seed=${seed}`, ...(truncation === 1 ? [] : [`truncation=${truncation}`]), ...codesInPython()];
  $("grid-note").textContent = `gf.load("RUN").sample(${options.join(", ")})`;
  grid.setAttribute("aria-label", `${count} pictures of seed ${seed}; the arrow keys choose one`);
  const context = grid.getContext("2d");
  const [all, mine, size] = [sampler.noise(count, seed, 0, state.codes), ++grids, model.noise.size];
  inTurns(() => mine === grids, count,
    (from, some) => all.slice(from * size, (from + some) * size), sampler.labels(count),
    (i, picture) => context.drawImage(picture, (i % columns) * width, Math.floor(i / columns) * height),
    () => { document.documentElement.dataset.grid = key(); });
}

/** What the grid depends on. */
const key = () => [state.seed, state.truncation, ...codesInPython()].join(" ");

/** The noises from, from + 1, ... of a function, after each other. */
const several = (from, count, noiseOf) => joined(Array.from({ length: count }, (_, i) => noiseOf(from + i)));

/** Several noises after each other. */
function joined(parts) {
  const all = new Float32Array(parts.length * model.noise.size);
  parts.forEach((part, i) => all.set(part, i * model.noise.size));
  return all;
}

function drawStrip() {
  const canvas = $("strip");
  Object.assign(canvas, { width: STRIP * width, height });
  canvas.style.width = `${STRIP * width * Math.max(1, Math.round(56 / width))}px`;
  canvas.setAttribute("aria-label", `${STRIP} pictures of the walk`);
  const [context, mine] = [canvas.getContext("2d"), drawn];
  inTurns(() => mine === drawn, STRIP, (i, some) => several(i, some, (j) => walked(j / (STRIP - 1))),
    label(STRIP), (i, picture) => context.drawImage(picture, i * width, 0),
    () => { document.documentElement.dataset.drawn = String(mine); });
}

/** The noise at a part of the way; one number runs over its whole range. */
function walked(t) {
  if (noiseIs(1)) return Float32Array.of((2 * t - 1) * REACH[model.noise.law]);
  return between(shown.noises[0], shown.noises[1], t, model.noise.law, sampler.plain);
}

const planar = (x, y) => onPlane(shown.noises, x, y, model.noise.law, sampler.plain);

/**
 * The end of a walk from the first sample: the next one after a number, of vectors the next one that
 * is some way off, so that there is a line to see.
 */
function farEnd(after) {
  if (sampler.pictures || model.shape[0] === 1) return after + 1;
  const points = firstTwo(shown.samples);
  const apart = (j) => Math.hypot(points[2 * j] - points[0], points[2 * j + 1] - points[1]);
  const far = Math.max(...shown.extent.map(([low, high]) => high - low)) / 4;
  for (let j = after + 1; j < POINTS; j++) if (apart(j) >= far) return j;
  return after + 1;
}

function drawWalk() {
  $("ends").textContent = noiseIs(1)
    ? "Noise z ="
    : `From ${sampler.pictures ? "picture" : "sample"} ${state.index} to ${state.index + state.to}:`;
  $("way-value").textContent = noiseIs(1)
    ? walked(state.way)[0].toFixed(2) : `${Math.round(100 * state.way)} %`;
  if (sampler.pictures) return show("walk", pictured(made(walked(state.way))));
  const steps = 120;
  const line = made(joined(Array.from({ length: steps + 1 }, (_, i) => walked(i / steps))), steps + 1);
  if (model.shape[0] === 1) return drawCurve(line, steps);
  const points = firstTwo(line);
  const s = backdrop("walk");
  path(s.context, s.window, points, colour("g"));
  const here = firstTwo(made(walked(state.way)));
  return ring(s.context, ...s.window.to(here[0], here[1]), colour("g"));
}

let maps = 0;

/** The pictures of the plane; a redraw for another reason lets them go on. */
function drawMap() {
  const mapKey = `${key()} ${state.index} ${state.label} ${state.to}`;
  if (shown.mapKey === mapKey) return;
  shown.mapKey = mapKey;
  const mine = ++maps;
  shown.map = document.createElement("canvas");
  Object.assign(shown.map, { width: MAP * width, height: MAP * height });
  const context = shown.map.getContext("2d");
  const place = (i) => [(2 * ((i % MAP) + 0.5)) / MAP - 1, 1 - (2 * (Math.floor(i / MAP) + 0.5)) / MAP];
  inTurns(() => mine === maps, MAP * MAP, (i, some) => several(i, some, (j) => planar(...place(j))),
    label(MAP * MAP), (i, picture) => {
      context.drawImage(picture, (i % MAP) * width, Math.floor(i / MAP) * height);
      if (i % MAP === MAP - 1) drawPad();
    }, () => {});
}

function drawPad() {
  const { context, width: w, height: h } = surface($("plane"));
  const [x, y] = [((state.place[0] + 1) / 2) * w, ((1 - state.place[1]) / 2) * h];
  if (sampler.pictures) {
    context.imageSmoothingEnabled = false;
    if (shown.map) context.drawImage(shown.map, 0, 0, w, h);
  } else {
    context.strokeStyle = colour("rule");
    context.lineWidth = 1;
    for (let i = 1; i < 10; i++) {
      for (const line of [[[i * w / 10, 0], [i * w / 10, h]], [[0, i * h / 10], [w, i * h / 10]]]) {
        context.beginPath();
        line.forEach((p) => context.lineTo(...p));
        context.stroke();
      }
    }
  }
  ring(context, x, y, colour("g"));
}

function drawPlane() {
  drawPad();
  if (sampler.pictures) return show("plane-picture", pictured(made(planar(...state.place))));
  const s = backdrop("plane-picture");
  const lines = 11;
  const steps = 40;
  for (const across of [true, false]) {
    const places = [];
    for (let i = 0; i < lines; i++) {
      for (let j = 0; j <= steps; j++) {
        const [a, b] = [(2 * i) / (lines - 1) - 1, (2 * j) / steps - 1];
        places.push(across ? planar(b, a) : planar(a, b));
      }
    }
    const points = firstTwo(made(joined(places), places.length));
    for (let i = 0; i < lines; i++) {
      path(s.context, s.window, points.subarray(2 * i * (steps + 1), 2 * (i + 1) * (steps + 1)), colour("g"), 0.8);
    }
  }
  const here = firstTwo(made(planar(...state.place)));
  return ring(s.context, ...s.window.to(here[0], here[1]), colour("g"));
}

// --- vectors ----------------------------------------------------------------------------------

/** The first two numbers of each vector. */
function firstTwo(x) {
  const size = model.shape[0];
  if (size === 2) return x;
  return Float32Array.from({ length: (2 * x.length) / size }, (_, i) => x[(i >> 1) * size + (i & 1)]);
}

/** The range that holds nearly all numbers, with a margin. */
function extent(values, margin = 0.12) {
  const sorted = Float32Array.from(values).sort();
  const [low, high] = [0.002, 0.998].map((q) => sorted[Math.floor(q * (sorted.length - 1))]);
  const wide = (high - low || 1) * margin;
  return [low - wide, high + wide];
}

function drawSamples() {
  shown.samples = sampler.samples(POINTS, {
    seed: state.seed, first: state.index, label: model.classes ? state.label : null,
    truncation: state.truncation, codes: state.codes,
  });
  if (model.shape[0] === 1) return drawHistogram();
  const points = firstTwo(shown.samples);
  if (!shown.extent || state.truncation === 1) {
    shown.extent = [0, 1].map((d) => extent(points.filter((_, i) => i % 2 === d)));
  }
  const start = `${state.seed} ${state.index}`;
  if (shown.start !== start) Object.assign(state, { to: farEnd(0) });
  shown.start = start;
  backdrop("picture", 0.75);
  document.documentElement.dataset.drawn = String(drawn);
  return undefined;
}

/** The samples on a canvas, to draw on. */
function backdrop(id, alpha = 0.3) {
  const s = surface($(id));
  const window = view(...shown.extent, s.width, s.height);
  axes(s, window);
  dots(s.context, window, firstTwo(shown.samples), colour("fake"), 1.5, alpha);
  return { ...s, window };
}

function drawHistogram() {
  const s = surface($("picture"));
  if (!shown.extent || state.truncation === 1) shown.extent = [extent(shown.samples, 0.2)];
  const [low, high] = shown.extent[0];
  const bins = 50;
  const counts = new Float32Array(bins);
  for (const x of shown.samples) {
    const bin = Math.floor(((x - low) / (high - low)) * bins);
    if (bin >= 0 && bin < bins) counts[bin]++;
  }
  const window = view([low, high], [-0.06 * Math.max(...counts), 1.1 * Math.max(...counts)], s.width, s.height, true);
  axes(s, window, true, false);
  s.context.fillStyle = colour("fake");
  counts.forEach((count, i) => {
    const [x, y] = window.to(low + (i / bins) * (high - low), count);
    const [right, bottom] = window.to(low + ((i + 1) / bins) * (high - low), 0);
    s.context.fillRect(x + 0.5, y, right - x - 1, bottom - y);
  });
  document.documentElement.dataset.drawn = String(drawn);
}

/** What the generator makes on the way from one noise to another, in one dimension. */
function drawCurve(line, steps) {
  const s = surface($("walk"));
  const reach = noiseIs(1) ? REACH[model.noise.law] : 0;
  const across = (t) => (reach ? (2 * t - 1) * reach : t);
  const margin = 0.05 * (across(1) - across(0));
  const window = view([across(0) - margin, across(1) + margin], shown.extent[0], s.width, s.height, true);
  axes(s, window);
  const points = Float32Array.from({ length: 2 * (steps + 1) }, (_, i) =>
    (i % 2 ? line[i >> 1] : across((i >> 1) / steps)));
  path(s.context, window, points, colour("g"));
  ring(s.context, ...window.to(across(state.way), made(walked(state.way))[0]), colour("g"));
}

start().catch((error) => {
  $("error").textContent = `This page cannot make its samples: ${error.message}`;
});
