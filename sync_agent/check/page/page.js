// The page around checkSlip: text from the field, the address, a photo or the camera; one answer, in Chinese and English.
"use strict";

(function () {
  const SCAN_MS = 250;
  const LONGEST_PX = 2000;
  const byId = function (id) { return document.getElementById(id); };
  const form = byId("form"), field = byId("text"), result = byId("result"), trouble = byId("trouble"), video = byId("video");
  let stream = null;

  function element(name, children, attributes) {
    const made = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    children.forEach(function (child) { made.append(child); });
    return made;
  }

  function both(name, group, key) {
    const words = KNOWN.words;
    return element(name, [words.zh[group][key] + " ", element("span", [words.en[group][key]], { lang: "en" })]);
  }

  function time(seconds) {
    const at = new Date(1000 * seconds), pad = function (number) { return (number < 10 ? "0" : "") + number; };
    const day = [at.getFullYear(), pad(at.getMonth() + 1), pad(at.getDate())].join("-");
    const clock = [pad(at.getHours()), pad(at.getMinutes()), pad(at.getSeconds())].join(":");
    const east = -at.getTimezoneOffset(), whole = Math.abs(east);
    return day + " " + clock + " (UTC" + (east < 0 ? "-" : "+") + pad(Math.floor(whole / 60)) + ":" + pad(whole % 60) + ")";
  }

  function line(key, value) { return element("div", [both("dt", "field", key), value]); }
  function plain(text) { return element("dd", [text]); }

  function facts(slip) {
    const lines = [line("kind", both("dd", "kind", slip.kind))];
    if (slip.outcome) lines.push(line("outcome", both("dd", "outcome", slip.outcome)));
    lines.push(line("standing", both("dd", "standing", slip.standing)), line("time", plain(time(slip.at))),
      line("device", plain(slip.device)), line("site", plain(slip.site)), line("record", plain(slip.record)));
    return element("dl", lines);
  }

  function answer(text) {
    const found = checkSlip(text, Date.now() / 1000), verdict = found.verdict;
    result.textContent = "";
    result.className = verdict === "good" || verdict === "forged" ? verdict : "unproven";
    result.dataset.verdict = verdict;
    result.append(element("div", [both("h2", "verdict", verdict), both("p", "meaning", verdict)], { "class": "verdict" }));
    if (found.slip) {
      const note = both("p", "field", "note");
      note.className = "quiet";
      result.append(facts(found.slip), note);
    }
    result.hidden = false;
    trouble.hidden = true;
    result.scrollIntoView({ block: "start" });
    result.focus({ preventScroll: true });
  }

  function take(text) {
    field.value = text;
    answer(text);
  }

  function say(id) {
    trouble.textContent = "";
    trouble.append(byId(id).content.cloneNode(true));
    trouble.hidden = false;
  }

  // A page that was opened from the code itself has the slip behind "#".
  function fromAddress() {
    if (location.hash.length > 1) take(location.hash.slice(1));
  }

  function detector() { return new BarcodeDetector({ formats: ["qr_code"] }); }

  async function fromPhoto(file) {
    try {
      const image = await createImageBitmap(file);
      const scale = Math.min(1, LONGEST_PX / Math.max(image.width, image.height));
      const canvas = document.createElement("canvas");
      canvas.width = image.width * scale;
      canvas.height = image.height * scale;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      const codes = await detector().detect(canvas);
      if (codes.length) take(codes[0].rawValue); else say("no-code");
    } catch (err) {
      say("no-code");
    }
  }

  function stop() {
    if (stream) stream.getTracks().forEach(function (track) { track.stop(); });
    stream = null;
    video.srcObject = null;
    byId("view").hidden = true;
  }

  async function fromCamera() {
    stop();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      byId("view").hidden = false;
      await video.play();
      look(detector(), stream);
    } catch (err) {
      stop();
      say("no-camera");
    }
  }

  async function look(codes, from) {
    if (stream !== from) return;
    const found = await codes.detect(video).catch(function () { return []; });
    if (stream !== from) return;
    if (found.length) {
      stop();
      take(found[0].rawValue);
    } else {
      setTimeout(look, SCAN_MS, codes, from);
    }
  }

  form.hidden = false;
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    answer(field.value);
  });
  window.addEventListener("hashchange", fromAddress);
  window.addEventListener("pagehide", stop);
  byId("stop").addEventListener("click", stop);
  byId("camera").addEventListener("click", fromCamera);
  byId("picture").addEventListener("click", function () { byId("file").click(); });
  byId("file").addEventListener("change", function (event) {
    if (event.target.files.length) fromPhoto(event.target.files[0]);
    event.target.value = "";
  });
  if ("BarcodeDetector" in window) {
    BarcodeDetector.getSupportedFormats().then(function (formats) {
      const reads = formats.indexOf("qr_code") >= 0;
      byId("picture").hidden = !(reads && "createImageBitmap" in window);
      byId("camera").hidden = !(reads && navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
    });
  }
  fromAddress();
}());
