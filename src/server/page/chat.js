// The chat: the conversation that is shown, and the answers that come.

import { streamChat } from "./api.js";
import { byId, element } from "./dom.js";
import { showMarkdown } from "./markdown.js";
import { answersWanted, askForKey, samplingFields, systemMessage } from "./settings.js";
import { conversations, newConversation, remove, saveConversations } from "./store.js";

let current = conversations[0] ?? newConversation();
let running = null;  // {abort, conversation} while answers come

// --- the list of conversations ---

export function showList() {
  byId("list").replaceChildren(...conversations.map((conversation) => {
    const title = conversation.title || "New conversation";
    const open = element("button", {class: "open", title, "aria-current": conversation === current && "true",
                                    onclick: () => choose(conversation)}, title);
    return element("li", {class: conversation === current ? "current" : null}, open,
      element("button", {class: "quiet", "aria-label": "Rename " + title, title: "Rename", onclick: () => rename(conversation)}, "✎"),
      element("button", {class: "quiet", "aria-label": "Delete " + title, title: "Delete", onclick: () => forget(conversation)}, "✕"));
  }));
}

export function choose(conversation) {
  stop();
  current = conversation;
  byId("sidebar").classList.remove("open");
  showAll();
}

export function startNew() {
  choose(conversations[0]?.messages.length === 0 ? conversations[0] : newConversation());
  byId("input").focus();
}

function rename(conversation) {
  const title = prompt("Name of the conversation", conversation.title);
  if (title === null) return;
  conversation.title = title.trim();
  saveConversations();
  showList();
}

function forget(conversation) {
  if (conversation.messages.length > 0 && !confirm("Delete this conversation?")) return;
  if (running?.conversation === conversation) stop();
  remove(conversation);
  if (conversation === current) current = conversations[0] ?? newConversation();
  showAll();
}

export function exportCurrent() {
  const file = new Blob([JSON.stringify(current, null, 2)], {type: "application/json"});
  const link = element("a", {href: URL.createObjectURL(file), download: "conversation.json"});
  link.click();
  URL.revokeObjectURL(link.href);
}

// --- messages ---

export function showAll() {
  showMessages();
  const messages = byId("messages");
  messages.scrollTop = messages.scrollHeight;
}

function showMessages() {
  showList();
  const messages = byId("messages");
  messages.replaceChildren();
  if (current.messages.length === 0) {
    messages.append(element("div", {class: "welcome"}, element("h1", {}, "What shall we talk about?"),
                            "Write below. The Memory tab shows what the server holds for you and everybody else."));
  }
  current.messages.forEach((message, index) => messages.append(messageNode(message, index)));
}

function messageNode(message, index) {
  return message.role === "user" ? userNode(message, index) : assistantNode(message, index);
}

function userNode(message, index) {
  const node = element("div", {class: "message user"}, element("div", {class: "bubble"}, message.content));
  node.append(element("div", {class: "tools"},
    element("button", {class: "quiet", onclick: () => edit(node, message, index)}, "Edit")));
  return node;
}

function assistantNode(message, index) {
  const many = message.answers.length > 1;
  const answers = element("div", {class: many ? "answers many" : "answers"});
  message.answers.forEach((answer, i) => answers.append(answerNode(message, answer, i)));
  const again = element("button", {class: "quiet", onclick: () => regenerate(index)}, "Answer again");
  const node = element("div", {class: "message assistant"}, answers);
  if (many) node.append(element("div", {class: "tools"}, again));
  else answers.querySelector(".tools").append(again);
  return node;
}

function answerNode(message, answer, i) {
  const text = element("div", {class: "text"});
  showMarkdown(text, answer.content);
  const node = element("div", {class: "answer"}, text);
  if (answer.error) node.append(element("p", {class: "error"}, answer.error));
  if (answer.figures) node.append(element("div", {class: "figures"}, answer.figures));
  const tools = element("div", {class: "tools"},
    element("button", {class: "quiet", onclick: () => navigator.clipboard?.writeText(answer.content)}, "Copy"));
  if (message.answers.length > 1) {
    const chosen = (message.chosen ?? 0) === i;
    if (chosen) node.classList.add("chosen");
    tools.append(element("button", {class: "quiet", "aria-pressed": String(chosen), onclick: () => {
      message.chosen = i;
      saveConversations();
      const messages = byId("messages");
      const place = messages.scrollTop;
      showMessages();
      messages.scrollTop = place;
    }}, chosen ? "Goes on from here" : "Go on from this one"));
  }
  node.append(tools);
  return node;
}

function edit(node, message, index) {
  const text = element("textarea", {"aria-label": "Your message"});
  text.value = message.content;
  const form = element("form", {class: "edit"}, text, element("div", {class: "tools"},
    element("button", {class: "primary", type: "submit"}, "Send"),
    element("button", {type: "button", onclick: showAll}, "Leave it")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (text.value.trim() === "") return;
    stop();
    current.messages.splice(index);
    send(text.value);
  });
  node.replaceChildren(form);
  text.focus();
}

// False when there is nothing to edit.
export function editLast() {
  const index = current.messages.findLastIndex((message) => message.role === "user");
  if (index < 0) return false;
  edit(byId("messages").children[index], current.messages[index], index);
  return true;
}

function regenerate(index) {
  stop();
  current.messages.splice(index);
  saveConversations();
  answer();
}

// --- answers ---

// What came so far stays.
export function stop() {
  if (!running) return;
  running.abort.abort();
  running = null;
  setBusy(false);
}

export function send(text) {
  if (running) return;
  current.messages.push({role: "user", content: text});
  if (!current.title) current.title = text.trim().split("\n")[0].slice(0, 60);
  saveConversations();
  answer();
}

// A question without an answer (the server refused it, or the answer was stopped at once) is left
// out with it.
function asSent(messages) {
  const sent = [];
  messages.forEach((message, i) => {
    if (message.role === "user") {
      const next = messages[i + 1];
      if (next && next.answers[next.chosen ?? 0].content === "") return;
      sent.push({role: "user", content: message.content});
    } else if (message.answers[message.chosen ?? 0].content !== "") {
      sent.push({role: "assistant", content: message.answers[message.chosen ?? 0].content});
    }
  });
  return sent;
}

// Shows answers as they come, at most once a frame.
class Live {
  constructor(message) {
    this.message = message;
    const nodes = message.answers.map(() => element("div", {class: "text"}));
    this.texts = nodes;
    this.cursors = nodes.map(() => element("span", {class: "waiting", "aria-hidden": "true"}));
    this.node = element("div", {class: "message assistant"},
      element("div", {class: nodes.length > 1 ? "answers many" : "answers", "aria-busy": "true"},
              ...nodes.map((text, i) => element("div", {class: "answer"}, text, this.cursors[i]))));
    byId("messages").append(this.node);
    this.due = false;
    this.scroll();
  }
  scroll() {
    const messages = byId("messages");
    messages.scrollTop = messages.scrollHeight;
  }
  changed() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => this.show());
  }
  // The reader is at the end, and has not scrolled up.
  follows() {
    const messages = byId("messages");
    return messages.scrollHeight - messages.scrollTop - messages.clientHeight < 80;
  }
  // Becomes the message as it is shown for good; whatever else is on the page stays as it is.
  finish(index) {
    const follows = this.follows();
    if (this.node.isConnected) this.node.replaceWith(messageNode(this.message, index));
    if (follows) this.scroll();
  }
  show() {
    this.due = false;
    const follows = this.follows();
    this.message.answers.forEach((answer, i) => {
      showMarkdown(this.texts[i], answer.content);
      if (answer.finished) this.cursors[i].remove();
    });
    if (follows) this.scroll();
  }
}

function figuresOf(usage, start, first, count) {
  if (!usage || first === null) return null;
  const seconds = (performance.now() - first) / 1000;
  const rate = seconds > 0 ? (usage.completion_tokens - count) / seconds : 0;
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return `${usage.completion_tokens} tokens` + (rate > 0 ? `, ${rate.toFixed(1)} per second` : "") +
    `, the first after ${((first - start) / 1000).toFixed(2)} s; prompt of ${usage.prompt_tokens}` +
    (cached > 0 ? `, ${cached} of them cached` : "");
}

async function answer() {
  const conversation = current;
  const count = answersWanted();
  const message = {role: "assistant", chosen: 0,
                   answers: Array.from({length: count}, () => ({content: ""}))};
  const body = {...samplingFields(), messages: [...systemMessage(), ...asSent(conversation.messages)]};
  conversation.messages.push(message);
  showAll();
  byId("messages").lastChild.remove();  // the empty answer: Live shows it
  const live = new Live(message);
  const mine = {abort: new AbortController(), conversation};
  running = mine;
  setBusy(true);
  const start = performance.now();
  let first = null;
  let usage = null;
  try {
    await streamChat(body, mine.abort.signal, (chunk) => {
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        const target = message.answers[choice.index];
        if (choice.delta.content) {
          first ??= performance.now();
          target.content += choice.delta.content;
        }
        if (choice.finish_reason) target.finished = true;
      }
      live.changed();
    });
  } catch (error) {
    if (error.name !== "AbortError") message.answers[0].error = error.message;
    if (error.status === 401) askForKey();
  }
  for (const one of message.answers) delete one.finished;
  message.answers[0].figures = figuresOf(usage, start, first, count);
  if (running === mine) {
    running = null;
    setBusy(false);
  }
  saveConversations();
  byId("status").textContent = message.answers[0].error ?? "The answer: " + message.answers[0].content;
  if (conversation === current) live.finish(conversation.messages.indexOf(message));
}

function setBusy(busy) {
  byId("send").hidden = busy;
  byId("stop").hidden = !busy;
}
