// The form of a served translator: a picture is sent to the server, and its translation shown.

import { $, on } from "./drawing.mjs";

/** A picture as large as those that the model learned from, at most. */
async function fitted(file) {
  const read = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name}: this browser cannot read it as a picture`);
  });
  const scale = Math.min(1, Math.sqrt($("file").dataset.area / (read.width * read.height)));
  const side = (length) => Math.max(1, Math.round(length * scale));
  const size = { width: side(read.width), height: side(read.height) };
  const canvas = Object.assign(document.createElement("canvas"), size);
  canvas.getContext("2d").drawImage(read, 0, 0, size.width, size.height);
  return canvas;
}

async function send() {
  const file = $("file").files[0];
  if (!file) return;
  try {
    const canvas = await fitted(file);
    const body = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const query = new URLSearchParams({ direction: $("direction").value, seed: $("seed").value.trim() });
    const headers = { "Content-Type": "image/png" };
    const answer = await fetch(`${$("file").dataset.path}?${query}`, { method: "POST", headers, body });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    URL.revokeObjectURL($("target").src);
    $("source").src = canvas.toDataURL();
    $("target").src = URL.createObjectURL(await answer.blob());
    $("pair").hidden = false;
    $("error").textContent = "";
  } catch (error) {
    $("error").textContent = error.message;
  }
}

on("open", "click", () => $("file").click());
for (const id of ["file", "direction", "seed"]) on(id, "change", send);
