// What the page keeps in the browser: conversations, settings, the theme and the API key.

const CONVERSATIONS = "octavo.conversations";
const SETTINGS = "octavo.settings";
const MOST_CONVERSATIONS = 100;
// Browsers give a page about five million characters.
const MOST_CHARACTERS = 4_000_000;

function read(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Private windows and full stores keep nothing; the page works all the same.
  }
}

// The newest first. A message: {role: "user", content} or
// {role: "assistant", answers: [{content, figures}], chosen}.
export const conversations = read(CONVERSATIONS, []);

export function newConversation() {
  const conversation = {id: crypto.randomUUID?.() ?? String(Math.random()), title: "", messages: []};
  conversations.unshift(conversation);
  return conversation;
}

const removed = new Set();  // ids

export function remove(conversation) {
  removed.add(conversation.id);
  conversations.splice(conversations.indexOf(conversation), 1);
  saveConversations();
}

// The oldest go when there are too many or they are too long.
export function saveConversations() {
  conversations.splice(MOST_CONVERSATIONS);
  const kept = conversations.filter((conversation) => conversation.messages.length > 0);
  while (kept.length > 1 && JSON.stringify(kept).length > MOST_CHARACTERS) {
    conversations.splice(conversations.indexOf(kept.pop()), 1);
  }
  write(CONVERSATIONS, kept);
}

// Another window has written: what it has and this one has not comes in, behind what is here.
addEventListener("storage", (event) => {
  if (event.key !== CONVERSATIONS) return;
  for (const conversation of read(CONVERSATIONS, [])) {
    const known = conversations.some((mine) => mine.id === conversation.id) || removed.has(conversation.id);
    if (!known) conversations.push(conversation);
  }
});

export const settings = read(SETTINGS, {});
export function saveSettings() {
  write(SETTINGS, settings);
}
