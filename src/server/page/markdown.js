// Markdown as models write it, made into elements: headings, lists, quotes, tables, code, emphasis,
// links. Every text goes through text nodes, so that nothing in it can become markup.

import { element } from "./dom.js";

// Shows `source` in `container`. Called again as the text grows, it replaces only the blocks that
// changed, so that what was selected or scrolled stays and the work stays in proportion.
export function showMarkdown(container, source, depth = 0) {
  const blocks = splitBlocks(source);
  const old = container.shownBlocks ?? [];
  let same = 0;
  while (same < old.length && same < blocks.length && old[same] === blocks[same]) ++same;
  while (container.childNodes.length > same) container.lastChild.remove();
  for (const block of blocks.slice(same)) container.append(renderBlock(block, depth));
  container.shownBlocks = blocks;
}

// Quotes in quotes, lists in lists and so on are shown as they are written beyond this depth: a
// model can write thousands.
const MOST_DEPTH = 12;

// Blank lines part blocks, but not inside of a fence; a heading is a block of its own.
function splitBlocks(source) {
  const blocks = [];
  let lines = [];
  let fence = null;
  const close = () => {
    if (lines.length > 0) blocks.push(lines.join("\n"));
    lines = [];
  };
  for (const line of source.split("\n")) {
    const mark = line.match(/^ {0,3}(`{3,}|~{3,})/);
    if (fence !== null) {
      lines.push(line);
      if (mark && mark[1].startsWith(fence) && line.trim() === mark[1]) {
        fence = null;
        close();
      }
    } else if (mark) {
      close();
      fence = mark[1];
      lines.push(line);
    } else if (line.trim() === "") {
      close();
    } else if (HEADING.test(line)) {
      close();
      lines.push(line);
      close();
    } else {
      lines.push(line);
    }
  }
  close();
  return blocks;
}

const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const LIST_ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

function renderBlock(block, depth) {
  const lines = block.split("\n");
  if (depth > MOST_DEPTH) return element("p", {}, block);
  if (/^ {0,3}(`{3,}|~{3,})/.test(lines[0])) return renderCode(lines);
  if (lines.every((line) => /^ {0,3}([-*_])( *\1){2,} *$/.test(line))) return element("hr");
  if (lines.every((line) => line.startsWith(">"))) {
    const quote = element("blockquote");
    showMarkdown(quote, lines.map((line) => line.replace(/^> ?/, "")).join("\n"), depth + 1);
    return quote;
  }
  if (lines.length > 1 && lines[0].includes("|") && /^\s*\|?[\s:|-]*-[\s:|-]*$/.test(lines[1])) {
    return renderTable(lines);
  }
  if (LIST_ITEM.test(lines[0])) return renderList(lines, depth);
  const heading = lines[0].match(HEADING);
  if (heading) {
    const title = element("h" + Math.min(heading[1].length, 4));
    addInline(title, heading[2], depth);
    return title;
  }
  // A list may follow a line of text without a blank line.
  const start = lines.findIndex((line, i) => i > 0 && LIST_ITEM.test(line));
  if (start > 0) {
    return element("div", {}, renderBlock(lines.slice(0, start).join("\n"), depth + 1),
                   renderList(lines.slice(start), depth + 1));
  }
  const paragraph = element("p");
  lines.forEach((line, i) => {
    if (i > 0) paragraph.append(element("br"));
    addInline(paragraph, line.trimStart(), depth);
  });
  return paragraph;
}

function renderCode(lines) {
  const closed = lines.length > 1 && /^ {0,3}(`{3,}|~{3,})\s*$/.test(lines.at(-1));
  const text = lines.slice(1, closed ? -1 : undefined).join("\n");
  const copy = element("button", {class: "quiet", type: "button"}, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Not allowed here";
    }
  });
  return element("div", {class: "codeblock"},
                 element("pre", {tabindex: "0"}, element("code", {}, text)), copy);
}

function renderTable(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (line, name) => element("tr", {}, ...cells(line).map((cell) => {
    const node = element(name);
    addInline(node, cell, 0);
    return node;
  }));
  return element("table", {}, element("thead", {}, row(lines[0], "th")),
                 element("tbody", {}, ...lines.slice(2).map((line) => row(line, "td"))));
}

// Items that are further in belong to the item before them.
function renderList(lines, depth) {
  const first = lines[0].match(LIST_ITEM);
  const indent = first[1].length;
  const numbered = /\d/.test(first[2]);
  const list = element(numbered ? "ol" : "ul", numbered ? {start: parseInt(first[2], 10)} : {});
  let at = 0;
  while (at < lines.length) {
    const item = lines[at].match(LIST_ITEM);
    const node = element("li");
    addInline(node, item ? item[3] : lines[at].trim(), depth);
    list.append(node);
    const inner = [];
    for (++at; at < lines.length; ++at) {
      const next = lines[at].match(LIST_ITEM);
      if (next && next[1].length <= indent) break;
      inner.push(lines[at]);
    }
    const nested = inner.findIndex((line) => LIST_ITEM.test(line));
    for (const line of nested < 0 ? inner : inner.slice(0, nested)) {
      node.append(" ");
      addInline(node, line.trim(), depth);
    }
    if (nested >= 0) node.append(renderBlock(inner.slice(nested).join("\n"), depth + 1));
  }
  return list;
}

// Code first, then links, then emphasis; what is not closed stays as it is written.
const INLINE = /(`+)([^`]|[^`].*?[^`])\1(?!`)|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>"')\]]+[^\s<>"')\].,;:!?])|(\*\*|__)(?=\S)(.+?)(?<=\S)\6|(?<![\w*])([*_])(?=[^\s*_])(.+?)(?<=[^\s*_])\8(?![\w*])|~~(?=\S)(.+?)(?<=\S)~~/;

function addInline(parent, text, depth) {
  let rest = text;
  while (depth <= MOST_DEPTH) {
    const match = rest.match(INLINE);
    if (!match) break;
    parent.append(rest.slice(0, match.index));
    if (match[1]) parent.append(element("code", {}, match[2]));
    else if (match[3]) parent.append(link(match[4], match[3]));
    else if (match[5]) parent.append(link(match[5], match[5]));
    else if (match[6]) parent.append(inside("strong", match[7], depth));
    else if (match[8]) parent.append(inside("em", match[9], depth));
    else parent.append(inside("del", match[10], depth));
    rest = rest.slice(match.index + match[0].length);
  }
  parent.append(rest);
}

function inside(name, text, depth) {
  const node = element(name);
  addInline(node, text, depth + 1);
  return node;
}

// The pattern lets only http and https through.
function link(address, text) {
  return element("a", {href: address, rel: "noopener noreferrer nofollow", target: "_blank"}, text);
}
