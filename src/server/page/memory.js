// The memory tab: the block pool as squares, and the engine's figures over time.

import { getJson } from "./api.js";
import { byId, element } from "./dom.js";

const PERIOD_MS = 400;
const POINTS = 150;
const GAP = 3;
const MOST_SQUARES = 12000;

let timer = null;
let last = null;  // the last answer, and the time of the server that it is of
let squares = []; // what is drawn: {id, state, group, tokens, idle, host, owners}
let side = 13;  // pixels of a square, the gap included
let columns = 1;
let pointed = -1;

// --- the colours of sequences ---

// Hues far apart for requests whose numbers are near; the outputs of one are its shades.
function colourOf([, request, output]) {
  const hue = (request * 137.508) % 360;
  const light = 52 + [0, 10, -10, 5, -5][output % 5];
  return `hsl(${hue.toFixed(0)} 62% ${light}%)`;
}

// --- the pool ---

// Every committed block, then those without memory; of a huge pool, the first.
function layOut(data) {
  const blocks = data.blocks.map(([id, state, group, tokens, idle, host, owners]) =>
    ({id, state: ["free", "cached", "in_use"][state], group, tokens, idle, host, owners}));
  const room = Math.min(data.uncommitted, Math.max(0, MOST_SQUARES - blocks.length));
  const others = Array.from({length: room}, () => ({id: -1, state: "uncommitted", owners: []}));
  return [...blocks.slice(0, MOST_SQUARES), ...others];
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw() {
  const canvas = byId("blocks");
  const width = canvas.clientWidth;
  if (width === 0 || last === null) return;
  // As large as lets the whole pool be seen, within reason.
  const wanted = Math.max(200, window.innerHeight - 330);
  side = Math.min(36, Math.max(9, Math.floor(Math.sqrt(width * wanted / Math.max(1, last.data.total)))));
  columns = Math.max(1, Math.floor(width / side));
  squares = layOut(last.data);
  const lines = Math.max(1, Math.ceil(squares.length / columns));
  const scale = window.devicePixelRatio || 1;
  const height = lines * side;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = height + "px";
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const colours = {free: style("--free"), cached: style("--cached"), line: style("--line"), ink: style("--ink"), paper: style("--ground")};
  squares.forEach((square, i) => drawSquare(pen, square, (i % columns) * side, Math.floor(i / columns) * side, colours, i === pointed));
}

function drawSquare(pen, square, x, y, colours, isPointed) {
  const edge = side - GAP;
  pen.globalAlpha = 1;
  if (square.state === "uncommitted") {
    pen.strokeStyle = colours.line;
    pen.strokeRect(x + 1, y + 1, edge - 1, edge - 1);
  } else if (square.state === "free") {
    pen.fillStyle = colours.free;
    pen.fillRect(x, y, edge, edge);
  } else if (square.state === "cached") {
    pen.fillStyle = colours.cached;
    pen.fillRect(x, y, edge, edge);
  } else {
    drawInUse(pen, square, x, y, edge, colours);
  }
  if (isPointed) {
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 2;
    pen.strokeRect(x - 0.5, y - 0.5, edge + 1, edge + 1);
    pen.lineWidth = 1;
  }
}

// The filled part in full colour, empty slots paler; a frame where several outputs share it.
function drawInUse(pen, square, x, y, edge, colours) {
  const sequence = last.data.sequences[square.owners[0]];
  pen.fillStyle = sequence ? colourOf(sequence) : colours.ink;
  pen.globalAlpha = 0.35;
  pen.fillRect(x, y, edge, edge);
  pen.globalAlpha = 1;
  const filled = edge * Math.min(1, square.tokens / last.data.block_size);
  pen.fillRect(x, y + edge - filled, edge, filled);
  if (square.owners.length > 1) {
    pen.strokeStyle = colours.paper;
    pen.lineWidth = 1.5;
    pen.strokeRect(x + 2.25, y + 2.25, edge - 4.5, edge - 4.5);
    pen.lineWidth = 1;
  }
}

function describe(square) {
  const more = last === null ? 0 : last.data.total - squares.length;
  const cut = more > 0 ? ` ${count(more)} more blocks are not drawn.` : "";
  if (!square) return "Point at a block, or move with the arrow keys." + cut;
  if (square.state === "uncommitted") return "Not backed by memory: it is taken when a sequence first needs it.";
  const size = last.data.block_size;
  const group = last.data.groups > 1 ? `, layers of group ${square.group}` : "";
  const host = square.host ? "; host memory has a copy" : "";
  if (square.state === "free") return `Block ${square.id}: free.`;
  if (square.state === "cached") {
    return `Block ${square.id}: cached, ${square.tokens} of ${size} tokens${group}, unused for ${square.idle} steps${host}.`;
  }
  const owners = square.owners.map((i) => last.data.sequences[i]).filter(Boolean)
      .map(([, request, output]) => `request ${request}, output ${output}`);
  const shown = owners.slice(0, 4).join("; ") + (owners.length > 4 ? `; and ${owners.length - 4} more` : "");
  return `Block ${square.id}: ${square.tokens} of ${size} tokens${group}, held by ${shown || "a step in flight"}${host}.`;
}

function point(index) {
  if (index === pointed) return;
  pointed = index;
  showDetail();
  requestAnimationFrame(draw);
}

// Written only when it changes: screen readers say it each time.
function showDetail() {
  const text = describe(squares[pointed]);
  if (byId("block-detail").textContent !== text) byId("block-detail").textContent = text;
}

function listen(canvas) {
  canvas.addEventListener("pointermove", (event) => {
    const column = Math.floor(event.offsetX / side);
    const index = Math.floor(event.offsetY / side) * columns + column;
    point(column < columns && index < squares.length ? index : -1);
  });
  canvas.addEventListener("pointerleave", () => point(-1));
  canvas.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns}[event.key];
    if (step === undefined) return;
    event.preventDefault();
    point(Math.min(squares.length - 1, Math.max(0, pointed + step)));
  });
}

// --- the figures ---

const percent = (share) => (100 * share).toFixed(share < 0.1 ? 1 : 0) + " %";
const count = (value) => Math.round(value).toLocaleString("en");

// Each: a name, its value now, how to write it, and a note.
const CHARTS = [
  {name: "Tokens per second", value: (now, then) => rate(now, then, (d) => d.generated_tokens), write: (v) => v.toFixed(v < 10 ? 1 : 0),
   note: (d) => `${count(d.generated_tokens)} generated, ${count(d.prompt_tokens)} of prompts computed`},
  {name: "Running", value: (now) => now.data.running, write: count, note: (d) => `${count(d.waiting)} requests wait`},
  {name: "Blocks in use", value: (now) => now.data.in_use, write: count,
   note: (d) => `${count(d.shared)} shared, ${count(d.cached)} cached, ${count(d.free)} free, of ${count(d.total)}`},
  {name: "Waste", value: (now) => (now.data.owned_slots > 0 ? 1 - now.data.filled_slots / now.data.owned_slots : 0), write: percent,
   note: () => "slots that are held and empty", most: 1},
  {name: "Found in the cache", value: (now) => (now.data.prefix_query_tokens > 0 ? now.data.prefix_hit_tokens / now.data.prefix_query_tokens : 0),
   write: percent, note: (d) => `${count(d.prefix_hit_tokens)} of ${count(d.prefix_query_tokens)} prompt tokens`, most: 1},
  {name: "KV memory", value: (now) => (now.data.total - now.data.uncommitted) * now.data.block_bytes / 2 ** 20,
   write: (v) => v.toFixed(v < 10 ? 1 : 0) + " MiB", note: tiers},
];

function tiers(d) {
  const parts = [`limit ${(d.total * d.block_bytes / 2 ** 20).toFixed(0)} MiB`];
  if (d.host_slots > 0) parts.push(`host tier ${count(d.host_slots_used)} of ${count(d.host_slots)} blocks`);
  if (d.disk_blocks > 0) parts.push(`disk ${count(d.disk_blocks)} blocks`);
  if (d.preemptions > 0) parts.push(`${count(d.preemptions)} preemptions`);
  return parts.join(", ");
}

function rate(now, then, of) {
  return then && now.at > then.at ? 1000 * (of(now.data) - of(then.data)) / (now.at - then.at) : 0;
}

const SVG = "http://www.w3.org/2000/svg";
function svgPath(name) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", name);
  return path;
}

function buildCharts(container) {
  for (const chart of CHARTS) {
    chart.history = [];
    chart.valueNode = element("div", {class: "value"}, "–");
    chart.noteNode = element("div", {class: "note"});
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${POINTS - 1} 34`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    chart.area = svgPath("area");
    chart.line = svgPath("line");
    svg.append(chart.area, chart.line);
    container.append(element("div", {class: "chart"}, element("div", {class: "name"}, chart.name), chart.valueNode, svg, chart.noteNode));
  }
}

function updateCharts(now, then) {
  for (const chart of CHARTS) {
    const value = chart.value(now, then);
    chart.history.push(value);
    if (chart.history.length > POINTS) chart.history.shift();
    chart.valueNode.textContent = chart.write(value);
    chart.noteNode.textContent = chart.note(now.data);
    const most = chart.most ?? Math.max(1e-9, ...chart.history);
    const start = POINTS - chart.history.length;
    const points = chart.history.map((v, i) => `${start + i} ${(32 - 30 * v / most).toFixed(1)}`);
    chart.line.setAttribute("d", "M" + points.join("L"));
    chart.area.setAttribute("d", `M${start} 34L${points.join("L")}L${POINTS - 1} 34Z`);
  }
}

// --- watching ---

async function look() {
  try {
    const data = await getJson("api/memory");
    const then = last;
    const now = {data, at: data.uptime_ms};
    last = now;
    byId("block-size").textContent = now.data.block_size;
    updateCharts(now, then);
    draw();
    showDetail();
  } catch (error) {
    byId("block-detail").textContent = "No figures: " + error.message;
  }
}

async function watch() {
  timer = 0;
  await look();
  if (timer === 0) timer = setTimeout(watch, PERIOD_MS);
}

// Asks the server only while the tab can be seen.
export function setWatching(on) {
  if (on && timer === null) watch();
  if (!on && timer !== null) {
    clearTimeout(timer);
    timer = null;
  }
}

export function buildMemory() {
  buildCharts(byId("charts"));
  listen(byId("blocks"));
  new ResizeObserver(draw).observe(byId("blocks"));
}
