// Provenance as a drawing: origins above, what was made of them below. The table under it says the same.

import dagre from "@dagrejs/dagre";

import { svg } from "./say.js";

const HEIGHT = 46;
const PAD = 16;

const measuring = document.createElement("canvas").getContext("2d");

function width(text, size) {
  measuring.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return measuring.measureText(text).width;
}

const short = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

function draw(root) {
  const { boxes, arrows } = JSON.parse(root.dataset.graph);
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 36, ranksep: 64, marginx: 24, marginy: 24 });
  for (const box of boxes) {
    box.text = short(box.name, 34);
    box.under = [box.revision === undefined ? null : `revision ${box.revision}`, box.project].filter(Boolean).join(" · ");
    const wide = Math.max(width(box.text, 14), width(short(box.under, 40), 12));
    graph.setNode(box.id, { ...box, width: wide + 2 * PAD, height: HEIGHT });
  }
  arrows.forEach((arrow, i) => {
    const text = short(arrow.text, 28);
    graph.setEdge(arrow.from, arrow.to, { ...arrow, text, width: width(text, 12) + 8, height: 18, labelpos: "c" }, String(i));
  });
  dagre.layout(graph);

  const { width: wide, height: high } = graph.graph();
  const picture = svg("svg", { viewBox: `0 0 ${wide} ${high}`, width: wide, height: high });
  const tip = svg("marker", { id: "tip", viewBox: "0 0 10 10", refX: "9", refY: "5", markerWidth: "7", markerHeight: "7", orient: "auto-start-reverse" });
  tip.append(svg("path", { d: "M0 0 10 5 0 10z" }));
  picture.append(svg("defs", {}, tip));
  for (const name of graph.edges()) {
    const arrow = graph.edge(name);
    const [first, ...rest] = arrow.points;
    const line = svg("path", { class: "arrow", "marker-start": "url(#tip)", d: `M${first.x} ${first.y}${rest.map(({ x, y }) => `L${x} ${y}`).join("")}` });
    const said = svg("text", { class: "arrow-text", x: arrow.x, y: arrow.y + 4, "text-anchor": "middle" }, arrow.text);
    if (arrow.more) said.append(svg("title", {}, arrow.more));
    picture.append(svg("g", {}, line, said));
  }
  for (const id of graph.nodes()) {
    const box = graph.node(id);
    const group = svg("g", { class: `${box.here ? "here" : ""} ${box.purged ? "purged" : ""}` });
    const left = box.x - box.width / 2;
    const top = box.y - box.height / 2;
    group.append(
      svg("rect", { class: "box-shape", x: left, y: top, width: box.width, height: box.height, rx: 8 }),
      svg("text", { x: box.x, y: box.under ? box.y - 3 : box.y + 5, "text-anchor": "middle", "font-weight": box.here ? "600" : "400" }, box.text),
    );
    if (box.under) group.append(svg("text", { class: "small", x: box.x, y: box.y + 15, "text-anchor": "middle" }, short(box.under, 40)));
    group.append(svg("title", {}, box.name));
    const address = box.here ? box.url : box.graph;
    if (address) {
      const link = svg("a", { href: address });
      link.append(group);
      picture.append(link);
    } else picture.append(group);
  }
  // It holds links now, and is no mere picture any more.
  root.setAttribute("role", "group");
  root.replaceChildren(picture);
  const here = picture.querySelector(".here rect");
  if (here) root.scrollLeft = here.getBBox().x - root.clientWidth / 2;
}

for (const root of document.querySelectorAll("[data-graph]")) draw(root);
