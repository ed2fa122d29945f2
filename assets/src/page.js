// On every page: htmx, and Alpine in the build that needs no eval, which the pages' policy forbids.

import Alpine from "@alpinejs/csp";
import htmx from "htmx.org";

import { Suggest } from "./suggest.js";

htmx.config.allowEval = false;
// Its own style element would break the pages' policy; what it holds is in our style sheet.
htmx.config.includeIndicatorStyles = false;
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0;
window.htmx = htmx;

// What is to be copied gets a button for it.
for (const source of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      // Without https browsers keep the clipboard to themselves: select it, so that one key press copies it.
      getSelection().selectAllChildren(source);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  });
  source.after(button);
}

// Results follow what is typed; the form does the same without scripts.
for (const input of document.querySelectorAll("[data-suggest]")) {
  const given = {
    "hx-get": input.form.getAttribute("action"),
    "hx-trigger": "input changed delay:250ms",
    "hx-include": "closest form",
    "hx-select": "main .columns",
    "hx-target": "main .columns",
    "hx-swap": "outerHTML",
    "hx-sync": "this:replace",
  };
  for (const [name, value] of Object.entries(given)) input.setAttribute(name, value);
}

for (const input of document.querySelectorAll("[data-combobox]")) new Suggest(input);

// Times are written in UTC; a person reads them in their own zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf()) && !time.title) time.title = at.toLocaleString();
}

window.Alpine = Alpine;
Alpine.start();
document.documentElement.dataset.live = "";
