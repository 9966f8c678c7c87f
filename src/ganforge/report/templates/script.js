"use strict";
// Every film has a slider that selects the frame, and a button that plays from there to the end.
for (const film of document.querySelectorAll("[data-film]")) {
  const frames = [...film.querySelectorAll(".frame")];
  const [slider, play] = ["input", "button"].map((name) => film.querySelector(name));
  let timer = 0;

  const show = (index) => {
    frames.forEach((frame, i) => { frame.hidden = i !== index; });
    slider.value = index;
    slider.setAttribute("aria-valuetext", frames[index].dataset.text);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const step = () => {
    const next = Number(slider.value) + 1;
    if (next < frames.length) show(next);
    if (next >= frames.length - 1) stop();
  };

  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === frames.length - 1) show(0);
    play.textContent = "Stop";
    timer = setInterval(step, Math.max(120, Math.min(700, 8000 / frames.length)));
  });
  film.querySelector(".control").hidden = frames.length < 2;
  show(frames.length - 1);
}
