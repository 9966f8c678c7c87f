// The live page. Everything that comes from a run is set as text, never as markup.
const POINTS = 8000;
const COLOURS = ["real", "fake", "d", "g", "s4", "s5", "s6"];
const GROUPS = [
  ["Losses", ["loss_d", "loss_g"]],
  ["D's output", ["d_real", "d_fake"]],
  ["Gradient norms", ["gradient_d", "gradient_g"]],
  ["Examples a second", ["images_per_second"]],
];
// what a key is about: real or generated examples, D or G
const ROLES = [[/real/, "real"], [/fake/, "fake"], [/_d$/, "d"], [/_g$/, "g"]];
const HIDDEN = ["epoch", "samples_seen", "seconds", "skipped"];
const runs = new Map();
const $ = (id) => document.getElementById(id);
let paused = false;
let dirty = true;
let source = null;
globalThis.watch = { runs, events: 0, reconnects: 0, drawn: 0 };

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size < 1e-12) return "0";
  if (size < 0.001 || size >= 1e6) return value.toExponential(2);
  return value.toLocaleString("en", { maximumSignificantDigits: size >= 1000 ? 7 : 4 });
}

function duration(seconds) {
  const total = Math.round(seconds);
  const parts = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

// --- what the server says -------------------------------------------------------------------

function run(message) {
  if (!runs.has(message.run)) {
    runs.set(message.run, {
      name: message.name, shown: true, after: "", rows: 0, steps: [], keys: {}, status: {},
      samples: { pictures: true, steps: [] }, scores: [], health: {},
    });
  }
  return runs.get(message.run);
}

const handlers = {
  reset(found, value) {
    const { rows, steps, keys, preview } = value;
    Object.assign(found, { rows, steps, keys, preview });
  },
  rows(found, value) {
    if (found.after !== value.after) return false; // something was missed: ask for it
    for (const row of value.rows) append(found, row);
    return true;
  },
  status(found, value) { found.status = value; },
  sample(found, value) { if (!value.error) found.samples = value; },
  score(found, value) { if (!value.error) found.scores = value; },
  finding(found, value) { found.health = value; },
};

function append(found, row) {
  found.rows += 1;
  found.steps.push(row.step);
  for (const [key, value] of Object.entries(row)) {
    if (key === "step" || !Number.isFinite(value)) continue;
    found.keys[key] ??= new Array(found.steps.length - 1).fill(null);
    found.keys[key].push([value, value, value]);
  }
  for (const points of Object.values(found.keys)) {
    if (points.length < found.steps.length) points.push(null);
  }
  if (found.steps.length > POINTS) halve(found);
}

function halve(found) {
  const pair = (a, b) => (a && b ? [Math.min(a[0], b[0]), Math.max(a[1], b[1]), (a[2] + b[2]) / 2] : a || b || null);
  const every = (list, join) => list.flatMap((v, i) => (i % 2 ? [] : [join(v, list[i + 1])]));
  found.steps = every(found.steps, (a, b) => b ?? a);
  for (const key of Object.keys(found.keys)) found.keys[key] = every(found.keys[key], pair);
}

function connect() {
  source?.close();
  source = new EventSource("events");
  source.onopen = () => { $("link").textContent = paused ? "paused" : "live"; };
  source.onerror = () => {
    $("link").textContent = "no answer: trying again";
    watch.reconnects += 1;
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  };
  for (const kind of Object.keys(handlers)) {
    source.addEventListener(kind, (event) => {
      const message = JSON.parse(event.data);
      const found = run(message);
      watch.events += 1;
      if (handlers[kind](found, message.value) === false) { connect(); return; }
      if (message.after) found.after = message.after;
      dirty = true;
    });
  }
}

// --- drawing --------------------------------------------------------------------------------

function chosen() {
  return [...runs.entries()].filter(([, found]) => found.shown);
}

function groups() {
  const known = new Set(GROUPS.flatMap(([, keys]) => keys).concat(HIDDEN));
  const present = new Set(chosen().flatMap(([, found]) => Object.keys(found.keys)));
  const others = Map.groupBy([...present].filter((key) => !known.has(key)).sort(), (key) => key.replace(/_(d|g|real|fake)$/, ""));
  return [...GROUPS.filter(([, keys]) => keys.some((k) => present.has(k))), ...others];
}

function drawCharts() {
  const wanted = groups();
  const place = $("charts");
  const charts = [...place.children];
  wanted.forEach(([title, keys], i) => {
    const figure = charts[i] ?? place.appendChild(element("figure", {}, element("figcaption"), element("canvas")));
    const lines = chosen().flatMap(([index, found]) => keys.filter((k) => found.keys[k]).map((key, k) => ({
      found, key, dash: runs.size > 1 && k ? [5, 4] : [],
      name: runs.size > 1 ? `${found.name} ${key}` : key,
      paint: colour(runs.size > 1 ? COLOURS[index % COLOURS.length] : role(key)),
    })));
    const [caption, canvas] = figure.children;
    caption.replaceChildren(element("b", { textContent: title }), ...lines.map((line) => legend(line)));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title}: ${lines.map((l) => `${l.name} ${number(latest(l))}`).join(", ")}`);
    drawChart(canvas, lines);
  });
  charts.slice(wanted.length).forEach((figure) => figure.remove());
}

function role(key) {
  return ROLES.find(([pattern]) => pattern.test(key))?.[1] ?? "real";
}

function latest({ found, key }) {
  return found.keys[key].findLast((point) => point)?.[2];
}

function legend(line) {
  const swatch = element("span", { className: line.dash.length ? "swatch dashed" : "swatch" });
  Object.assign(swatch.style, { display: "inline-block", background: line.paint, borderColor: line.paint, verticalAlign: "middle" });
  return element("span", {}, swatch, ` ${line.name} ${number(latest(line))}`);
}

function drawChart(canvas, lines) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== width * ratio || canvas.height !== height * ratio) {
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const view = bounds(lines);
  if (!view) return;
  const [left, right, top, bottom] = [46, width - 6, 8, height - 20];
  const x = (step) => left + ((step - view.from) / (view.to - view.from || 1)) * (right - left);
  const y = (value) => bottom - ((value - view.least) / (view.most - view.least || 1)) * (bottom - top);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour("muted");
  pen.strokeStyle = colour("rule");
  for (const value of ticks(view.least, view.most)) {
    pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(right, y(value)); pen.stroke();
    pen.textAlign = "right"; pen.fillText(number(value), left - 5, y(value) + 4);
  }
  pen.textAlign = "left"; pen.fillText(number(view.from), left, height - 5);
  pen.textAlign = "right"; pen.fillText(`step ${number(view.to)}`, right, height - 5);
  pen.save();
  pen.beginPath(); pen.rect(left, top - 2, right - left, bottom - top + 4); pen.clip();
  for (const line of lines) drawLine(pen, line, view, x, y);
  pen.restore();
}

function bounds(lines) {
  const steps = lines.flatMap(({ found }) => (found.steps.length ? [found.steps[0], found.steps.at(-1)] : []));
  if (!steps.length) return null;
  const to = Math.max(...steps);
  const from = $("recent").checked ? to - (to - Math.min(...steps)) / 10 : Math.min(...steps);
  const seen = [];
  for (const { found, key } of lines) {
    found.keys[key].forEach((point, i) => { if (point && found.steps[i] >= from) seen.push(point); });
  }
  if (!seen.length) return null;
  const means = seen.map((point) => point[2]).sort((a, b) => a - b);
  const at = (share) => means[Math.min(means.length - 1, Math.floor(share * means.length))];
  const room = (at(0.99) - at(0.01)) * 0.5 || Math.abs(at(0.5)) * 0.1 || 1;
  let [least, most] = [Infinity, -Infinity];
  for (const point of seen) { least = Math.min(least, point[0]); most = Math.max(most, point[1]); }
  return { from, to, least: Math.max(least, at(0.01) - room), most: Math.min(most, at(0.99) + room) };
}

function ticks(least, most) {
  const raw = (most - least) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  const out = [];
  for (let v = Math.ceil(least / step) * step; v <= most && out.length < 9; v += step) out.push(v);
  return out;
}

// one column of the canvas at a time: a band from the least to the greatest value, and the mean
function drawLine(pen, { found, key, paint, dash }, view, x, y) {
  const columns = new Map();
  found.keys[key].forEach((point, i) => {
    if (!point || found.steps[i] < view.from) return;
    const at = Math.round(x(found.steps[i]));
    const old = columns.get(at);
    if (!old) columns.set(at, [...point, 1]);
    else columns.set(at, [Math.min(old[0], point[0]), Math.max(old[1], point[1]), old[2] + point[2], old[3] + 1]);
  });
  const line = [...columns.entries()].sort((a, b) => a[0] - b[0]);
  pen.strokeStyle = paint;
  pen.fillStyle = paint;
  pen.globalAlpha = 0.25;
  for (const [at, [least, most]] of line) pen.fillRect(at - 0.5, y(most), 1, Math.max(0, y(least) - y(most)));
  pen.globalAlpha = 1;
  pen.lineWidth = 1.6;
  pen.setLineDash(dash);
  pen.beginPath();
  for (const [at, [, , sum, count]] of line) pen.lineTo(at, y(sum / count));
  pen.stroke();
  pen.setLineDash([]);
  if (line.length === 1) pen.fillRect(line[0][0] - 2, y(line[0][1][2]) - 2, 4, 4);
}

// --- runs, samples, scores, health ----------------------------------------------------------

function drawRuns() {
  const place = $("runs");
  for (const [index, found] of runs) {
    let item = place.querySelector(`[data-run="${index}"]`);
    if (!item) {
      const box = element("input", { type: "checkbox", checked: true });
      box.onchange = () => { found.shown = box.checked; dirty = true; };
      const swatch = element("span", { className: "swatch" });
      item = element("li", {}, element("label", {}, box, swatch, element("span", { textContent: found.name })),
        element("p", { className: "facts" }), element("progress"));
      item.dataset.run = index;
      place.append(item);
    }
    const swatch = item.querySelector(".swatch");
    swatch.hidden = runs.size < 2;
    swatch.style.background = colour(COLOURS[index % COLOURS.length]);
    const { state, step = 0, steps = 0 } = found.status;
    const last = found.steps.at(-1) ?? step;
    const pace = latestOf(found, "seconds") / (last || 1);
    const left = state === "running" && last ? `, ${duration(pace * (steps - last))} left` : "";
    const speed = latestOf(found, "images_per_second");
    item.querySelector(".facts").textContent = found.status.error ? `run.json: ${found.status.error}` :
      `${state ?? "…"}, step ${number(last)} of ${number(steps)}${speed ? `, ${number(Math.round(speed))} examples/s` : ""}${left}${found.preview ? ", some records of a long log while it is read" : ""}`;
    const bar = item.querySelector("progress");
    Object.assign(bar, { max: steps || 1, value: Math.min(last, steps) });
    bar.setAttribute("aria-label", `progress of ${found.name}`);
  }
}

function latestOf(found, key) {
  return found.keys[key]?.findLast((point) => point)?.[2] ?? 0;
}

function drawSamples() {
  const with_samples = [...runs.entries()].filter(([, found]) => found.samples.steps.length);
  $("samples").hidden = !with_samples.length;
  if (!with_samples.length) return;
  const menu = $("sample-run");
  for (const [index, found] of with_samples) {
    if (![...menu.options].some((o) => o.value === String(index))) {
      menu.append(element("option", { value: index, textContent: found.name }));
    }
  }
  menu.parentElement.hidden = with_samples.length < 2;
  const views = $("views");
  while (views.children.length < 2) views.append(view(views.children.length));
  views.children[1].hidden = !$("compare").checked;
  for (const one of views.children) one.refresh(Number(menu.value));
}

function view(place) {
  const slider = element("input", { type: "range", min: 0, max: 0, value: 0 });
  slider.setAttribute("aria-label", `step of the ${place ? "second" : "first"} samples`);
  const picture = element("img", { alt: "" });
  const scatter = element("canvas", { hidden: true });
  const [key, note] = [element("p", { className: "note" }), element("p", { className: "note" })];
  const made = element("div", {}, picture, scatter, key, slider, note);
  // the newest is followed only while the slider stands at its end
  let [following, steps, shown, index] = [place === 0, [], "", -1];
  const show = () => {
    const step = steps[Number(slider.value)];
    const wanted = `${index} ${step}`;
    if (step === undefined || wanted === shown) return;
    shown = wanted;
    note.textContent = `step ${number(step)}, ${Number(slider.value) + 1} of ${steps.length}${following ? ", the newest" : ""}`;
    const { pictures } = runs.get(index).samples;
    [picture.hidden, scatter.hidden, key.hidden] = [!pictures, pictures, pictures];
    if (pictures) {
      picture.src = `runs/${index}/samples/${step}.png`;
      picture.alt = `samples at step ${step}`;
    } else {
      fetch(`runs/${index}/samples/${step}.json`).then((r) => r.json()).then((v) => shown === wanted && drawDots(scatter, key, v)).catch(() => {});
    }
  };
  slider.oninput = () => { following = Number(slider.value) === steps.length - 1; shown = ""; show(); };
  made.refresh = (wanted) => {
    const step = steps[Number(slider.value)];
    if (wanted !== index) [index, shown, following] = [wanted, "", place === 0];
    steps = runs.get(index).samples.steps;
    slider.max = Math.max(0, steps.length - 1);
    const at = following ? steps.length - 1 : Math.max(0, steps.indexOf(step));
    if (Number(slider.value) !== at) slider.value = at;
    show();
    note.textContent = `step ${number(steps[at])}, ${at + 1} of ${steps.length}${following ? ", the newest" : ""}`;
  };
  return made;
}

function drawDots(canvas, legend, { points, features, real = [], judged = [], reach: given }) {
  drawLegend(canvas, legend, { points, features, real, judged });
  const side = Math.max(200, canvas.clientWidth) * (devicePixelRatio || 1);
  [canvas.width, canvas.height] = [side, side];
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour("fake");
  if (features === 1) {
    const bins = new Array(60).fill(0);
    const all = points.map(([v]) => v).sort((a, b) => a - b);
    const [least, most] = [all[0], all.at(-1)];
    for (const v of all) bins[Math.min(59, Math.floor(((v - least) / (most - least || 1)) * 60))] += 1;
    const top = Math.max(...bins);
    bins.forEach((n, i) => pen.fillRect((i * side) / 60, side * (1 - n / top), side / 60 - 1, (side * n) / top));
    return;
  }
  const reach = given ?? (Math.max(...points.flat().map(Math.abs)) * 1.05 || 1);
  const cells = Math.sqrt(judged.length);
  judged.forEach((d, i) => {
    const edge = (n) => Math.round((n * side) / cells);
    const [x, y] = [i % cells, cells - 1 - Math.floor(i / cells)];
    pen.fillStyle = colour(d > 0.5 ? "real" : "fake");
    pen.globalAlpha = 0.6 * Math.abs(d - 0.5);
    pen.fillRect(edge(x), edge(y), edge(x + 1) - edge(x), edge(y + 1) - edge(y));
  });
  pen.globalAlpha = 0.6;
  const size = side / 170;
  for (const [name, dots] of [["real", real], ["fake", points]]) {
    pen.fillStyle = colour(name);
    for (const [a, b] of dots) pen.fillRect(((a / reach + 1) * side - size) / 2, ((1 - b / reach) * side - size) / 2, size, size);
  }
}

function drawLegend(canvas, legend, { points, features, real, judged }) {
  const what = features === 1 ? "numbers" : "points";
  const shown = [["fake", `generated ${what}`], ...(real.length ? [["real", `real ${what}`]] : [])];
  const ground = judged.length ? ". Ground: what D says of every place, blue for real, orange for generated" : "";
  legend.replaceChildren(...shown.flatMap(([name, words]) => {
    const dot = element("span", { className: "dot" });
    dot.style.background = colour(name);
    return [dot, words];
  }), ground);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${points.length} ${legend.textContent}`);
}

function drawScores() {
  const some = chosen().filter(([, found]) => found.scores.length);
  if (!some.length) { $("scores").replaceChildren(element("p", { className: "note", textContent: "No score yet." })); return; }
  const cells = (kind, texts) => element("tr", {}, ...texts.map((text) => element(kind, { textContent: text })));
  const value = (s) => (s.spread ? `${number(s.value)} ± ${Number((1.96 * s.spread).toPrecision(2))}` : number(s.value));
  const body = some.flatMap(([, found]) => [
    ...(runs.size > 1 ? [element("tr", {}, element("th", { colSpan: 6, className: "name", textContent: found.name }))] : []),
    ...found.scores.map((s) => cells("td", [s.name, s.verdict, value(s), number(s.floor), number(s.step), `${number(s.n)}, ${s.split}`])),
  ]);
  const head = cells("th", ["metric", "verdict", "value", "of real", "step", "examples"]);
  $("scores").replaceChildren(element("table", {}, head, ...body));
}

function drawHealth() {
  const items = chosen().map(([, found]) => {
    const name = runs.size > 1 ? `${found.name}: ` : "";
    const { known, findings = [], healthy, open, error } = found.health;
    if (!known) return element("p", { className: "note", textContent: `${name}${error ? `diagnosis.json: ${error}` : "not diagnosed yet"}` });
    const verdict = healthy ? "healthy" : open && `no finding, but not called healthy: ${open}`;
    return element("div", {}, ...findings.map((f) => element("p", {},
      element("b", { className: "bad", textContent: `${name}${f.code} ${f.name}. ` }), `${f.evidence}. ${f.remedy}`)),
    element("p", { className: healthy ? "good" : "bad", textContent: verdict ? `${name}${verdict}` : "" }));
  });
  $("health").replaceChildren(...items);
}

function draw() {
  if (dirty && !paused) {
    dirty = false;
    watch.drawn += 1;
    drawRuns(); drawCharts(); drawSamples(); drawScores(); drawHealth();
  }
  requestAnimationFrame(draw);
}

$("pause").onclick = () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  $("link").textContent = paused ? "paused: what comes in is collected" : "live";
};
for (const id of ["recent", "compare", "sample-run"]) $(id).onchange = () => { dirty = true; };
addEventListener("resize", () => { dirty = true; });
matchMedia("(prefers-color-scheme: dark)").onchange = () => { dirty = true; };
connect();
draw();
