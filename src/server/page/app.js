// The page: its two tabs, its keys and buttons.

import { getJson } from "./api.js";
import { editLast, exportCurrent, send, showAll, startNew, stop } from "./chat.js";
import { byId } from "./dom.js";
import { buildMemory, setWatching } from "./memory.js";
import { askForKey, buildSettings, showSettings } from "./settings.js";
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
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) submit(event);
    if (event.key === "ArrowUp" && event.target.value === "" && editLast()) event.preventDefault();
  });
  byId("stop").addEventListener("click", stop);
  byId("new").addEventListener("click", startNew);
  byId("export").addEventListener("click", exportCurrent);
  byId("theme").addEventListener("click", toggleTheme);
  byId("menu").addEventListener("click", () => {
    const open = byId("sidebar").classList.toggle("open");
    byId("menu").setAttribute("aria-expanded", String(open));
  });
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  byId("help-close").addEventListener("click", () => byId("help").close());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || byId("help").open) return;
    stop();
    showSettings(false);
    byId("sidebar").classList.remove("open");
    byId("menu").setAttribute("aria-expanded", "false");
  });
  document.addEventListener("visibilitychange", watchIfSeen);
}

// False when the server wants an API key.
async function showModel() {
  try {
    byId("model").textContent = (await getJson("v1/models")).data[0].id;
  } catch (error) {
    byId("model").textContent = "";
    return error.status !== 401;
  }
  return true;
}

setTheme(settings.theme);
buildSettings(byId("settings"), byId("settings-button"), showModel);
buildMemory();
listen();
showAll();
selectTab(location.hash === "#memory" ? "memory" : "chat");
byId("input").focus();
if (!await showModel()) askForKey();
