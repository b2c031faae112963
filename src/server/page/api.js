// The server's API as the page uses it.

import { settings } from "./store.js";

export function headers() {
  const result = {"Content-Type": "application/json"};
  if (settings.apiKey) result.Authorization = "Bearer " + settings.apiKey;
  return result;
}

// What an answer that is an error says.
async function problem(response) {
  if (response.status === 401) return "This server wants an API key: it goes into the chat's settings (⚙).";
  try {
    return (await response.json()).error.message;
  } catch {
    return "the server answered " + response.status;
  }
}

export async function getJson(path, signal) {
  const response = await fetch(path, {headers: headers(), signal});
  if (!response.ok) throw Object.assign(new Error(await problem(response)), {status: response.status});
  return response.json();
}

// Cuts a stream into its events. Looks at each character once, however long an event is and in how
// many pieces it comes.
class EventSplitter {
  pieces = [];  // of an event that has not ended
  last = "";    // their last character: an event's end may lie between two pieces

  // The events that end with this piece.
  take(piece) {
    this.pieces.push(piece);
    const ends = (this.last + piece).includes("\n\n");
    this.last = piece.slice(-1);
    if (!ends) return [];
    const events = this.pieces.join("").split("\n\n");
    const rest = events.pop();
    this.pieces = [rest];
    this.last = rest.slice(-1);
    return events;
  }
}

// Streams a chat completion; onChunk(chunk) for each piece. Throws what went wrong.
export async function streamChat(body, signal, onChunk) {
  const response = await fetch("v1/chat/completions", {
    method: "POST", headers: headers(), signal,
    body: JSON.stringify({...body, stream: true, stream_options: {include_usage: true}}),
  });
  if (!response.ok) throw Object.assign(new Error(await problem(response)), {status: response.status});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const splitter = new EventSplitter();
  for (;;) {
    const {value, done} = await reader.read();
    if (done) throw new Error("the connection ended before the answer did");
    for (const event of splitter.take(value)) {
      const data = event.split("\n").filter((line) => line.startsWith("data: "))
          .map((line) => line.slice(6)).join("\n");
      if (data === "") continue;  // a comment that keeps the connection open
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      onChunk(chunk);
    }
  }
}
