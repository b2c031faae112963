// The page: its two tabs, its keys and buttons.

import { getJson } from "./api.js";
import { exportCurrent, send, showAll, startNew, stop } from "./chat.js";
import { byId } from "./dom.js";
import { buildMemory, setWatching } from "./memory.js";
import { buildSettings } from "./settings.js";
import { saveSettings, settings } from "./store.js";

const TABS = ["chat", "memory"];

function selectTab(name) {
  for (const tab of TABS) {
    const selected = tab === name;
    byId(tab).hidden = !selected;
    byId("menu").hidden = name !== "chat";
    byId("tab-" + tab).setAttribute("aria-selected", String(selected));
    byId("tab-" + tab).tabIndex = selected ? 0 : -1;
  }
  history.replaceState(null, "", name === "chat" ? location.pathname : "#" + name);
  watchIfSeen();
}

function watchIfSeen() {
  setWatching(!byId("memory").hidden && !document.hidden);
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  settings.theme = theme;
  saveSettings();
}

function toggleTheme() {
  const dark = settings.theme ? settings.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(dark ? "light" : "dark");
}

function toggle(button, panel, show) {
  const open = show ?? panel.hidden;
  panel.hidden = !open;
  button.setAttribute("aria-expanded", String(open));
}

function submit(event) {
  event?.preventDefault();
  const input = byId("input");
  if (input.value.trim() === "" || !byId("stop").hidden) return;
  const text = input.value;
  input.value = "";
  fit(input);
  send(text);
}

// As high as its text, within the style's limit.
function fit(input) {
  input.style.height = "auto";
  input.style.height = input.scrollHeight + 2 + "px";
}

function listen() {
  for (const tab of TABS) byId("tab-" + tab).addEventListener("click", () => selectTab(tab));
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = byId("memory").hidden ? "memory" : "chat";
    selectTab(other);
    byId("tab-" + other).focus();
  });
  byId("composer").addEventListener("submit", submit);
  byId("input").addEventListener("input", (event) => fit(event.target));
  byId("input").addEventListener("keydown", (event) => {
    // Enter that ends the composition of a character is not meant for us.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  });
  byId("stop").addEventListener("click", stop);
  byId("new").addEventListener("click", startNew);
  byId("export").addEventListener("click", exportCurrent);
  byId("theme").addEventListener("click", toggleTheme);
  byId("menu").addEventListener("click", () => {
    const open = byId("sidebar").classList.toggle("open");
    byId("menu").setAttribute("aria-expanded", String(open));
  });
  byId("settings-button").addEventListener("click", () => toggle(byId("settings-button"), byId("settings")));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    stop();
    if (!byId("settings").hidden) toggle(byId("settings-button"), byId("settings"), false);
    byId("sidebar").classList.remove("open");
  });
  document.addEventListener("visibilitychange", watchIfSeen);
}

async function showModel() {
  try {
    byId("model").textContent = (await getJson("v1/models")).data[0].id;
  } catch {
    byId("model").textContent = "";
  }
}

setTheme(settings.theme);
buildSettings(byId("settings"), () => toggle(byId("settings-button"), byId("settings"), false));
buildMemory();
listen();
showAll();
selectTab(location.hash === "#memory" ? "memory" : "chat");
byId("input").focus();
showModel();
