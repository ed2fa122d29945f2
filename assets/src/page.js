// On every page: htmx, and Alpine in the build that needs no eval, which the pages' policy forbids.

import Alpine from "@alpinejs/csp";
import htmx from "htmx.org";

htmx.config.allowEval = false;
// Its own style element would break the pages' policy; what it holds is in our style sheet.
htmx.config.includeIndicatorStyles = false;
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0;
window.htmx = htmx;

// Text that is to be copied: `<button data-copy="#id">`.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  if (!source) return;
  const text = "value" in source ? source.value : source.textContent;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without https browsers keep the clipboard to themselves: select it, so that one key press copies it.
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => {
    button.textContent = before;
  }, 2000);
});

// Times are written in UTC; a person reads them in their own zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf()) && !time.title) time.title = at.toLocaleString();
}

window.Alpine = Alpine;
Alpine.start();
document.documentElement.dataset.live = "";
