// The page works without this file, which adds: Enter sends, the box grows, one submit per click, the end is in view.
"use strict";

const history_ = document.querySelector(".history");
const composer = document.querySelector(".composer");

if (history_ && (!location.hash || location.hash === "#latest")) {
  history_.scrollTop = history_.scrollHeight;
}

if (composer) {
  const box = composer.querySelector("textarea");
  const grow = () => {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  };
  box.addEventListener("input", grow);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (box.value.trim()) composer.requestSubmit();
    }
  });
  grow();
  box.focus({ preventScroll: true });
}

for (const form of document.querySelectorAll(".composer, .again")) {
  form.addEventListener("submit", () => {
    form.querySelector("[type=submit]").disabled = true;
  });
}

// A page that comes back from the browser's memory may be sent again: the ids in it make that a replay.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
});
