// Rows of a table, however many: what can be seen is drawn, and fetched a page at a time.

import { Grid } from "./table/grid.js";

for (const root of document.querySelectorAll("[data-grid]")) new Grid(root);

// Ctrl+Enter asks.
for (const form of document.querySelectorAll("[data-sql]")) {
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
