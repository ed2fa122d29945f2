// Items as trees: open or close all of them at once.

const bar = document.querySelector("[data-fold]");
if (bar) {
  bar.hidden = false;
  const set = (open) => {
    for (const one of document.querySelectorAll(".tree details")) one.open = open;
  };
  bar.querySelector("[data-open]").addEventListener("click", () => set(true));
  bar.querySelector("[data-close]").addEventListener("click", () => set(false));
}
