// The page works without this file. It adds: answers grow as they are written, Enter sends, the text box grows, a double
// click submits once, and the page stays scrolled to its end.
"use strict";

const PAUSE = 250; // milliseconds between two requests for an answer that is being written
const AWAY = 2000; // milliseconds until the next try if the server cannot be reached

const history_ = document.querySelector("#history");
const composer = document.querySelector(".composer");
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// While an answer is written, the API serves it as a draft: ask for the text added since, until the draft has ended.
async function follow(bubble) {
  const text = bubble.querySelector(".text");
  let length = bubble.dataset.length;
  while (bubble.isConnected) {
    try {
      const response = await fetch(`${bubble.dataset.follow}?after=${length}`);
      if (!response.ok) throw new Error(response.statusText);
      const draft = await response.json();
      inView(() => text.append(draft.text));
      if (draft.state !== "streaming") break;
      length = draft.length;
      await pause(PAUSE);
    } catch {
      await pause(AWAY); // the server cannot be reached, or the draft is gone; the refresh below shows which
      break;
    }
  }
  if (bubble.isConnected) await refresh();
}

// Replace the page's parts with those of a fresh load, but keep an open edit form.
async function refresh() {
  const response = await fetch(location.href).catch(() => pause(AWAY).then(refresh));
  if (!response?.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const edited = document.querySelector(".edit[open]");
  for (const part of ["#history", "#chats"]) {
    inView(() => document.querySelector(part).replaceChildren(...page.querySelector(part).childNodes));
  }
  if (edited) document.querySelector(`[data-edit="${edited.dataset.edit}"]`)?.replaceWith(edited);
  followAll();
}

function followAll() {
  for (const bubble of document.querySelectorAll("[data-follow]")) follow(bubble);
}

// Change the history; if its end was in view, keep it in view.
function inView(change) {
  const atTheEnd = history_.scrollHeight - history_.scrollTop - history_.clientHeight < 40;
  change();
  if (atTheEnd) history_.scrollTop = history_.scrollHeight;
}

if (history_) {
  if (!location.hash || location.hash === "#latest") history_.scrollTop = history_.scrollHeight;
  followAll();
  // Another tab may have asked, switched or stopped meanwhile.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
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

// A second click sends nothing.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});

// A page restored from the browser's cache may submit its forms again: their ids make that a replay.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
});
