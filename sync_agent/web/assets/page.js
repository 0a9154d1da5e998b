// Says whether the page is live, and of what moment it is when it is not.
"use strict";
(() => {
  const link = document.getElementById("link");
  const asOf = document.getElementById("as-of");
  let last = new Date();
  const show = (state) => {
    if (state === "lost" && link.dataset.state !== "lost") asOf.textContent = last.toLocaleTimeString(document.documentElement.lang);
    if (link.dataset.state !== state) link.dataset.state = state;
  };
  document.body.addEventListener("htmx:sseOpen", (event) => {
    show("live");
    // The extension hears named events only; any word of the server shows that the page is current.
    const source = event.detail.source;
    for (const name of ["trouble", "tally", "devices", "records"]) source.addEventListener(name, () => { last = new Date(); });
  });
  document.body.addEventListener("htmx:sseError", () => show("lost"));
  document.body.addEventListener("htmx:sseClose", () => show("lost"));
})();
