// The settings beside the chat: one list makes the form and the fields of a request.

import { element } from "./dom.js";
import { saveSettings, settings } from "./store.js";

const FIELDS = [
  {name: "temperature", label: "Temperature: 0 always takes the most probable token", min: 0, max: 5, step: 0.05, usual: 0.7},
  {name: "top_p", label: "Top p: keep the most probable tokens up to this share", min: 0.01, max: 1, step: 0.01, usual: 0.95},
  {name: "top_k", label: "Top k: keep this many tokens; 0 keeps all", min: 0, max: 1000, step: 1, usual: 0},
  {name: "min_p", label: "Min p: drop tokens below this share of the best", min: 0, max: 1, step: 0.01, usual: 0},
  {name: "repetition_penalty", label: "Repetition penalty", min: 0.5, max: 2, step: 0.01, usual: 1},
  {name: "max_tokens", label: "Most tokens of an answer; empty: to the context's end", min: 1, step: 1, usual: null},
  {name: "seed", label: "Seed; empty: another one each time", min: 0, step: 1, usual: null},
  {name: "n", label: "Answers side by side", min: 1, max: 8, step: 1, usual: 1},
];

const value = (field) => (settings[field.name] === undefined ? field.usual : settings[field.name]);

export const answersWanted = () => value(FIELDS.find((field) => field.name === "n")) ?? 1;

// The fields of a request; what is left empty is the server's business.
export function samplingFields() {
  const result = {};
  for (const field of FIELDS) {
    if (value(field) !== null) result[field.name] = value(field);
  }
  return result;
}

export function systemMessage() {
  return settings.system ? [{role: "system", content: settings.system}] : [];
}

let panel = null;
let button = null;  // opens and closes it
let key = null;     // the field of the API key

export function showSettings(open = panel.hidden) {
  panel.hidden = !open;
  button.setAttribute("aria-expanded", String(open));
}

// The server wants an API key, or another one.
export function askForKey() {
  showSettings(true);
  key.focus();
}

// `keyChanged` is called when the user has written an API key.
export function buildSettings(container, opener, keyChanged) {
  panel = container;
  button = opener;
  button.addEventListener("click", () => showSettings());
  const system = element("textarea", {placeholder: "What the model should know or how it should answer"});
  system.value = settings.system ?? "";
  system.addEventListener("input", () => keep("system", system.value));
  key = element("input", {type: "password", name: "key", autocomplete: "off", placeholder: "If this server asks for one"});
  key.value = settings.apiKey ?? "";
  key.addEventListener("input", () => keep("apiKey", key.value.trim()));
  key.addEventListener("change", keyChanged);
  container.append(element("h2", {}, "Settings",
    element("button", {class: "quiet", "aria-label": "Close the settings", onclick: () => showSettings(false)}, "✕")),
    element("label", {}, "System message", system));
  for (const field of FIELDS) container.append(element("label", {}, field.label, numberInput(field)));
  container.append(element("label", {}, "API key", key));
}

function numberInput(field) {
  const input = element("input", {type: "number", min: field.min, max: field.max, step: field.step, name: field.name});
  input.value = value(field) ?? "";
  input.addEventListener("change", () => {
    if (input.value !== "" && !input.checkValidity()) return input.reportValidity();
    keep(field.name, input.value === "" ? null : Number(input.value));
  });
  return input;
}

function keep(name, what) {
  settings[name] = what;
  saveSettings();
}
