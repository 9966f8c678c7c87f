// The page of a translator: a picture, opened or drawn, and its translation.

import { masks } from "../../noise.mjs";
import { Engine, fastest, fromBase64 } from "./engine.mjs";
import { $, on, options, savePNG } from "./drawing.mjs";

const model = JSON.parse($("model").textContent);
const engines = {};
const drawn = {};
let [timer, last] = [0, null];

async function start() {
  const bytes = fromBase64($("weights").textContent);
  let found = null;
  for (const [name, graph] of Object.entries(model.directions)) {
    found = await fastest(fromBase64($("engine").textContent));
    engines[name] = new Engine(graph, bytes, found.loops);
  }
  options("direction", Object.keys(engines), (name) => ({ a2b: "forth", b2a: "back" })[name] ?? name);
  $("direction-field").hidden = Object.keys(engines).length < 2;
  $("seed-field").hidden = !Object.keys(direction().drop).length;
  $("engine-note").textContent = `Computed by ${found.how}.`;
  listen();
  $("main").hidden = false;
  face();
  globalThis.demo = { model, translate };
  document.documentElement.dataset.ready = "yes";
}

const direction = () => model.directions[$("direction").value];

/** The whole number of the seed's field; throws a RangeError for anything else. */
function seed() {
  const text = $("seed").value.trim();
  const value = /^[+-]?\d{1,19}$/.test(text) ? BigInt(text) : 1n << 63n;
  if (value <= -(1n << 63n) || value >= 1n << 63n) {
    throw new RangeError(`seed = ${text}: expected a whole number below 2^63 in size`);
  }
  return value;
}

/** Dropout masks of picture 0 of a seed: those of Python. */
function masked(name, size, drop, chosen) {
  const stream = `translate/${$("direction").value}/${name}`;
  return (drawn[`${chosen}/${stream}`] ??= masks(1, size, drop, stream, { seed: chosen }));
}

/** Levels (C, H, W) of a source -> those of its translation. */
function translate(levels, chosen = 0n) {
  const { source, target, inputs, drop } = direction();
  const values = Float32Array.from(levels, (v) => (v - source.offset[0]) / source.scale[0]);
  const given = { source: values };
  for (const [name, p] of Object.entries(drop)) {
    given[name] = masked(name, inputs[name].reduce((a, b) => a * b, 1), p, BigInt(chosen));
  }
  const made = engines[$("direction").value].run(1, given);
  return Uint8ClampedArray.from(made, (v) => Math.fround(v * target.scale[0]) + target.offset[0]);
}

function listen() {
  on("open", "click", () => $("file").click());
  on("file", "change", () => open($("file").files[0]));
  for (const event of ["dragover", "drop"]) {
    addEventListener(event, (e) => {
      e.preventDefault();
      if (event === "drop") open(e.dataTransfer.files[0]);
    });
  }
  for (const tone of ["white", "black"]) on(tone, "click", () => sheet(tone));
  on("save", "click", () => savePNG($("target"), `${model.name}-translation`));
  on("direction", "change", () => sheet("white"));
  on("seed", "change", soon);
  for (const event of ["pointerdown", "pointermove", "pointerup"]) on("source", event, stroke);
  for (const id of ["width", "tone"]) on(id, "input", showLine);
  showLine();
}

function showLine() {
  for (const id of ["width", "tone"]) $(`${id}-value`).textContent = $(id).value;
}

/** An empty picture. */
function sheet(tone) {
  const [, height, width] = direction().source.shape;
  Object.assign($("source"), { width, height });
  const context = $("source").getContext("2d", { willReadFrequently: true });
  context.fillStyle = tone;
  context.fillRect(0, 0, width, height);
  soon();
}

/** A line drawing to begin with, so that the page shows what it does. */
function face() {
  sheet("white");
  const { width, height } = $("source");
  $("width").value = Math.round(Math.min(width, height) / 32);
  showLine();
  const context = $("source").getContext("2d");
  const [x, y, r] = [width / 2, height / 2, 0.36 * Math.min(width, height)];
  const arcs = [[x, y, r, 0, 7], [x, y, 0.6 * r, 0.5, 2.6], ...[-1, 1].map((side) => [x + side * 0.35 * r, y - 0.25 * r, 0.08 * r, 0, 7])];
  for (const arc of arcs) line(context, () => context.arc(...arc));
}

async function open(file) {
  if (!file) return;
  try {
    const picture = await createImageBitmap(file);
    const { width, height } = $("source");
    $("source").getContext("2d").drawImage(picture, 0, 0, width, height);
    $("error").textContent = "";
    soon();
  } catch {
    $("error").textContent = `${file.name}: this browser cannot read it as a picture`;
  }
}

function stroke(event) {
  const box = $("source").getBoundingClientRect();
  const { width, height } = $("source");
  const at = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  if (event.type === "pointerdown") {
    $("source").setPointerCapture(event.pointerId);
    last = at;
  }
  if (event.type === "pointerup" || !last) {
    last = null;
    return;
  }
  const context = $("source").getContext("2d");
  line(context, () => { context.moveTo(...last); context.lineTo(at[0], at[1] + 0.01); });
  last = at;
  soon();
}

/** A stroke of the chosen width and grey along the path that f makes. */
function line(context, f) {
  const tone = $("tone").value;
  Object.assign(context, { lineWidth: $("width").value, lineCap: "round", strokeStyle: `rgb(${tone},${tone},${tone})` });
  context.beginPath();
  f();
  context.stroke();
}

/** Translates after the strokes that wait. */
function soon() {
  clearTimeout(timer);
  timer = setTimeout(show, 30);
}

function show() {
  const { source, target } = direction();
  const { width, height } = $("source");
  const seen = $("source").getContext("2d").getImageData(0, 0, width, height).data;
  const area = width * height;
  const grey = source.shape[0] === 1;
  const levels = Float32Array.from({ length: source.shape[0] * area }, (_, i) => {
    const at = 4 * (i % area);
    if (grey) return Math.round(0.299 * seen[at] + 0.587 * seen[at + 1] + 0.114 * seen[at + 2]);
    return seen[at + Math.floor(i / area)];
  });
  let made = null;
  const before = performance.now();
  try {
    made = translate(levels, seed());
  } catch (error) {
    $("error").textContent = error.message;
    return;
  }
  $("error").textContent = "";
  const [channels, h, w] = target.shape;
  Object.assign($("target"), { width: w, height: h });
  const image = new ImageData(w, h);
  for (let i = 0; i < w * h; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = made[(channels >= 3 ? c : 0) * w * h + i];
    image.data[4 * i + 3] = 255;
  }
  $("target").getContext("2d").putImageData(image, 0, 0);
  $("caption").textContent = `The translation, made in ${Math.round(performance.now() - before)} ms`;
  document.documentElement.dataset.drawn = "yes";
}

start().catch((error) => {
  $("error").textContent = `This page cannot translate: ${error.message}`;
});
