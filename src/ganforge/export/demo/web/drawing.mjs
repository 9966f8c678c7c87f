// Elements of a page, and drawing on its canvases: sizes in device pixels, colours of the style
// sheet, points, lines, pictures.

export const $ = (id) => document.getElementById(id);
export const on = (id, event, f) => $(id).addEventListener(event, f);

/** Fills a select; text(name) is what the reader sees. */
export function options(id, names, text) {
  for (const name of names) {
    const option = document.createElement("option");
    option.value = name;
    option.textContent = text(name);
    $(id).append(option);
  }
}

/** The value of a colour of the style sheet. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

/** A canvas's context, in its size on the screen; units are CSS pixels. */
export function surface(canvas, height = 0) {
  const width = canvas.clientWidth || 320;
  const scale = devicePixelRatio || 1;
  const tall = height || canvas.clientHeight || width;
  const [w, h] = [Math.round(width * scale), Math.round(tall * scale)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, tall);
  return { context, width, height: tall };
}

/** A window on the plane: data units to pixels and back, with equal scales unless `free`. */
export function view([left, right], [low, high], width, height, free = false) {
  let [x, y] = [width / (right - left), height / (high - low)];
  if (!free) x = y = Math.min(x, y);
  const [u, v] = [(left + right) / 2, (low + high) / 2];
  return {
    to: (a, b) => [width / 2 + (a - u) * x, height / 2 - (b - v) * y],
    from: (p, q) => [u + (p - width / 2) / x, v - (q - height / 2) / y],
    left: u - width / 2 / x, right: u + width / 2 / x,
    low: v - height / 2 / y, high: v + height / 2 / y,
  };
}

/** Round ticks for a range, about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough) ?? rough;
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
  return found.map((t) => Number(t.toPrecision(12)));
}

/** Thin lines at round numbers, with the numbers beside them. */
export function axes({ context, width, height }, window, numbers = true, vertical = true) {
  context.strokeStyle = colour("rule");
  context.fillStyle = colour("muted");
  context.font = "11px system-ui, sans-serif";
  context.lineWidth = 1;
  context.beginPath();
  for (const t of ticks(window.left, window.right, width / 90)) {
    const [x] = window.to(t, 0);
    context.moveTo(Math.round(x) + 0.5, 0);
    context.lineTo(Math.round(x) + 0.5, height);
    if (numbers && x > 24 && x + 3 + context.measureText(String(t)).width <= width) context.fillText(String(t), x + 3, height - 5);
  }
  for (const t of vertical ? ticks(window.low, window.high, height / 70) : []) {
    const [, y] = window.to(0, t);
    context.moveTo(0, Math.round(y) + 0.5);
    context.lineTo(width, Math.round(y) + 0.5);
    if (numbers && y > 14 && y < height - 22) context.fillText(String(t), 4, y - 3);
  }
  context.stroke();
}

/** Points (x, y, x, y, ...) as small discs. */
export function dots(context, window, points, fill, radius = 1.6, alpha = 0.6) {
  context.fillStyle = fill;
  context.globalAlpha = alpha;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = window.to(points[i], points[i + 1]);
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 7);
  }
  context.fill();
  context.globalAlpha = 1;
}

/** A line through points (x, y, x, y, ...). */
export function path(context, window, points, stroke, width = 2) {
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) context.lineTo(...window.to(points[i], points[i + 1]));
  context.stroke();
}

/** A ring around a place. */
export function ring(context, x, y, stroke, radius = 8) {
  for (const [width, style] of [[5, colour("paper")], [2.5, stroke]]) {
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke();
  }
}

/** Offers a canvas as a PNG file. */
export function savePNG(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name.replace(/[^\w.-]+/g, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
