// Says whether the page is live, and of what moment it is when it is not.
"use strict";
(() => {
  const SILENT_MS = 15000; // three beats of the server: a connection can be dead without anybody being told
  const NAMES = ["beat", "trouble", "tally", "devices", "records"];
  const link = document.getElementById("link");
  const asOf = document.getElementById("as-of");
  let last = new Date();

  const show = (state) => {
    if (link.dataset.state === state) return;
    if (state === "lost") asOf.textContent = last.toLocaleTimeString(document.documentElement.lang);
    link.dataset.state = state;
  };
  const heard = () => {
    last = new Date();
    show("live");
  };
  document.body.addEventListener("htmx:sseOpen", (event) => {
    for (const name of NAMES) event.detail.source.addEventListener(name, heard);
    heard();
  });
  document.body.addEventListener("htmx:sseError", () => show("lost"));
  document.body.addEventListener("htmx:sseClose", () => show("lost"));
  setInterval(() => {
    if (new Date() - last > SILENT_MS) show("lost");
  }, 1000);
})();
