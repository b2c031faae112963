#!/usr/bin/env python3
"""The page in headless Chromium, driven by Selenium: python3 page_test.py OCTAVO PAGE_FOLDER

With the real server and the built-in model: the chat, its buttons and keys, a phone's width, API
keys, the memory view. With a
stand-in that serves the same files and scripted answers: that nothing a model writes becomes markup.
Exits with 77 (skipped) where Chromium, its driver or Selenium is missing.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

SKIPPED = 77
try:
    from selenium import webdriver
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    print("skipped: Python's selenium is missing (tools/setup.sh browser)")
    sys.exit(SKIPPED)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    print("skipped: chromium or chromedriver is missing (tools/setup.sh browser)")
    sys.exit(SKIPPED)

OCTAVO, PAGE = sys.argv[1:3]
PATIENCE_S = 30

INJECTION = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\n\n'
    "[click](javascript:window.hacked=1) **bold** `a<b` <b>not bold</b>\n\n"
    "```html\n<script>window.hacked=1</script>\n```\n\n"
    # Deep enough to end a browser's stack, if each were an element in an element.
    + ">" * 5000 + "\n\n" + "# a\n" * 5000 + "\n" + "".join(" " * i + "- a\n" for i in range(500))
    + "\n| a | <i>b</i> |\n|---|---|\n| 1 | 2 |\n")


class StandIn(http.server.SimpleHTTPRequestHandler):
    """The page's files, and one answer to every chat."""

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=PAGE)

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        # Cut in odd places, as tokens are.
        for start in range(0, len(INJECTION), 97):
            delta = {"content": INJECTION[start:start + 97]}
            chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")


def start_server(*flags):
    """The process and its address."""
    server = subprocess.Popen([OCTAVO, "serve", "--port", "0", "--kv-memory", "32MiB", *flags],
                              stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if found := re.match(r"listening on (http://\S+)", line):
            return server, found[1]
    raise RuntimeError("the server does not start")


def end_server(server):
    server.terminate()
    server.wait(PATIENCE_S)
    server.stdout.close()


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1200,800"):
        options.add_argument(argument)
    return webdriver.Chrome(service=Service(DRIVER), options=options)


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server, cls.address = start_server()
        cls.browser = start_browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        end_server(cls.server)

    def setUp(self):
        self.open(self.address + "/")

    def open(self, address):
        self.browser.get(address)
        self.browser.execute_script("localStorage.clear()")
        self.browser.get("about:blank")
        self.browser.get(address)
        self.wait(lambda: self.find("#input").is_displayed())

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition):
        WebDriverWait(self.browser, PATIENCE_S).until(lambda _: condition())

    def set(self, **settings):
        self.browser.execute_async_script(
            "const [settings, done] = arguments; import('./store.js').then((store) => {"
            "Object.assign(store.settings, settings); done(); });", settings)

    def script(self, text):
        return self.browser.execute_script(text)

    def press(self, key):
        """The way to the page's own keys: Chromium's access key."""
        ActionChains(self.browser).key_down(Keys.ALT).send_keys(key).key_up(Keys.ALT).perform()

    def button(self, text):
        return [button for button in self.all("button") if button.text == text][0]

    def stored(self):
        return json.loads(self.script("return localStorage['octavo.conversations'] ?? '[]'"))

    def say(self, text, answers=1):
        self.find("#input").send_keys(text, Keys.ENTER)
        self.wait(lambda: len(self.all(".figures")) >= answers)

    def test_a_chat_of_two_turns(self):
        self.say("Hello!")
        self.assertEqual(self.find(".message.user .bubble").text, "Hello!")
        self.assertTrue(self.find(".answer .text").text)
        self.say("Tell me a story.", answers=2)
        self.assertEqual(len(self.all(".answer")), 2)
        self.assertIn("cached", self.all(".figures")[1].text)
        self.assertFalse(self.all(".error"))
        # It is there again after the page was loaded anew.
        texts = [node.text for node in self.all(".answer .text")]
        self.browser.refresh()
        self.wait(lambda: len(self.all(".answer")) == 2)
        self.assertEqual([node.text for node in self.all(".answer .text")], texts)
        self.assertEqual(self.find("#list .open").text, "Hello!")

    def test_several_answers_and_going_on_from_one(self):
        self.set(n=3, temperature=1)
        self.say("Tell me a story about a cat.")
        self.assertEqual(len(self.all(".answers.many .answer")), 3)
        self.all(".answer [aria-pressed=false]")[1].click()
        self.wait(lambda: "chosen" in self.all(".answer")[2].get_attribute("class"))

    def test_stop_regenerate_and_edit(self):
        self.set(max_tokens=1)
        self.say("Hello!")
        self.button("Answer again").click()
        self.wait(lambda: len(self.all(".figures")) == 1)
        self.button("Edit").click()
        box = self.find(".edit textarea")
        box.clear()
        box.send_keys("Good morning!")
        self.find(".edit button[type=submit]").click()
        self.wait(lambda: self.find(".bubble").text == "Good morning!")
        self.assertEqual(len(self.all(".bubble")), 1)
        self.wait(lambda: self.find("#send").is_displayed())
        self.set(max_tokens=None, n=8, temperature=5)
        self.find("#input").send_keys("Tell me everything.", Keys.ENTER)
        self.wait(lambda: self.find("#stop").is_displayed())
        self.find("#input").send_keys(Keys.ESCAPE)
        self.wait(lambda: self.find("#send").is_displayed())
        self.assertFalse(self.all(".error"))

    def test_edit_while_the_answer_comes(self):
        self.set(n=8, temperature=5)
        self.find("#input").send_keys("Tell me everything.", Keys.ENTER)
        self.wait(lambda: self.find("#stop").is_displayed() and self.all(".answer .text p"))
        self.button("Edit").click()
        self.set(n=1, temperature=0, max_tokens=1)
        self.find(".edit textarea").clear()
        self.find(".edit textarea").send_keys("Good morning!")
        self.find(".edit button[type=submit]").click()
        self.wait(lambda: self.all(".figures"))
        self.assertEqual([node.text for node in self.all(".bubble")], ["Good morning!"])
        self.assertEqual(len(self.all(".answer")), 1)
        self.assertIn("1 tokens", self.find(".figures").text)
        self.assertFalse(self.all(".error"))
        # Nothing of the answer that was left comes in behind the new one.
        conversation, = self.stored()
        self.assertEqual([m["role"] for m in conversation["messages"]], ["user", "assistant"])
        self.assertEqual(len(conversation["messages"][1]["answers"]), 1)

    def test_rename_and_delete(self):
        self.set(max_tokens=1)
        self.say("Hello!")
        ActionChains(self.browser).move_to_element(self.find("#list li")).perform()
        self.find("#list [title=Rename]").click()
        question = self.browser.switch_to.alert
        question.send_keys("A greeting")
        question.accept()
        self.wait(lambda: self.find("#list .open").text == "A greeting")
        self.browser.refresh()
        self.wait(lambda: self.all(".bubble"))
        self.assertEqual(self.find("#list .open").text, "A greeting")
        ActionChains(self.browser).move_to_element(self.find("#list li")).perform()
        self.find("#list [title=Delete]").click()
        self.browser.switch_to.alert.dismiss()
        self.assertEqual(len(self.stored()), 1)
        self.find("#list [title=Delete]").click()
        self.browser.switch_to.alert.accept()
        self.wait(lambda: not self.all(".bubble"))
        self.assertEqual(self.find("#list .open").text, "New conversation")
        self.assertEqual(self.stored(), [])

    def test_light_and_dark(self):
        def ground():
            return self.script("return getComputedStyle(document.body).backgroundColor")
        light = ground()
        self.find("#theme").click()
        dark = ground()
        self.assertNotEqual(light, dark)
        self.browser.refresh()
        self.assertEqual(ground(), dark)
        self.find("#theme").click()
        self.assertEqual(ground(), light)

    def test_a_phone(self):
        def fits():
            width = self.script("return [document.documentElement.scrollWidth, innerWidth]")
            self.assertEqual(width[0], 390)
            self.assertEqual(width[1], 390)
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
        self.addCleanup(self.browser.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        self.set(n=2, max_tokens=20)
        self.say("Tell me a story about a cat.")
        fits()
        self.assertFalse(self.find("#sidebar").is_displayed())
        self.find("#menu").click()
        self.assertTrue(self.find("#sidebar").is_displayed())
        self.find("#list .open").click()
        self.assertFalse(self.find("#sidebar").is_displayed())
        self.find("#settings-button").click()
        self.assertTrue(self.find("#settings [name=temperature]").is_displayed())
        fits()
        self.find("#settings .quiet").click()
        self.find("#tab-memory").click()
        self.wait(lambda: self.find(".chart .value").text not in ("", "–"))
        fits()

    def test_keys(self):
        self.set(max_tokens=1)
        self.say("Hello!")
        self.find("#input").send_keys(Keys.ARROW_UP)
        self.assertEqual(self.find(".edit textarea").get_attribute("value"), "Hello!")
        self.press("n")
        self.wait(lambda: not self.all(".message"))
        self.press("m")
        self.wait(lambda: self.find("#memory").is_displayed())
        self.find("#tab-memory").send_keys(Keys.ARROW_LEFT)
        self.wait(lambda: self.find("#chat").is_displayed())
        self.press("s")
        self.wait(lambda: self.find("#settings").is_displayed())
        self.press("h")
        self.wait(lambda: self.find("#help").is_displayed())
        ActionChains(self.browser).send_keys(Keys.ESCAPE).perform()
        self.wait(lambda: not self.find("#help").is_displayed())
        self.assertTrue(self.find("#settings").is_displayed())  # it lay below

    def test_asks_for_the_key_that_the_server_wants(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as keys:
            keys.write("sk-the-right-one\n")
            keys.flush()
            server, address = start_server("--api-keys", keys.name)
            self.addCleanup(end_server, server)
            self.open(address + "/")
            focused = "return document.activeElement.name"
            self.wait(lambda: self.script(focused) == "key")
            self.assertTrue(self.find("#settings").is_displayed())
            self.find("#input").send_keys("Hello!", Keys.ENTER)
            self.wait(lambda: self.all(".error"))
            self.assertIn("API key", self.find(".error").text)
            self.wait(lambda: self.script(focused) == "key")
            self.browser.switch_to.active_element.send_keys("sk-the-right-one", Keys.TAB)
            self.wait(lambda: self.find("#model").text)
            self.say("Hello again!")

    def test_errors_of_the_server_are_shown(self):
        self.set(max_tokens=1000000)
        self.find("#input").send_keys("Hello!", Keys.ENTER)
        self.wait(lambda: self.all(".error"))
        self.assertIn("context", self.find(".error").text)

    def test_what_a_model_writes_stays_text(self):
        stand_in = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
        threading.Thread(target=stand_in.serve_forever, daemon=True).start()
        self.open(f"http://127.0.0.1:{stand_in.server_port}/index.html")
        self.find("#input").send_keys("<script>window.hacked=1</script>", Keys.ENTER)
        self.wait(lambda: self.all(".answer table"))
        self.wait(lambda: self.find("#send").is_displayed())
        self.assertIsNone(self.browser.execute_script("return window.hacked ?? null"))
        messages = self.find("#messages")
        for name in ("script", "img", "b", "i"):
            self.assertFalse(messages.find_elements(By.TAG_NAME, name), name)
        self.assertFalse(self.all("#messages a"), "a link that is not http")
        self.assertIn("<b>not bold</b>", messages.text)
        self.assertEqual(self.find(".answer strong").text, "bold")
        self.assertEqual(self.find(".codeblock code").text, "<script>window.hacked=1</script>")
        self.assertEqual(self.find("#list .open").text, "<script>window.hacked=1</script>")
        stand_in.shutdown()
        stand_in.server_close()

    def test_the_memory_view_moves_under_load(self):
        self.find("#tab-memory").click()
        self.wait(lambda: self.find(".chart .value").text not in ("", "–"))
        empty = self.find("#blocks").screenshot_as_png
        body = {"prompt": "Once upon a time", "n": 16, "max_tokens": 800, "temperature": 1,
                "ignore_eos": True, "stream": True}
        request = urllib.request.Request(self.address + "/v1/completions",
                                         json.dumps(body).encode())
        with urllib.request.urlopen(request):
            running = self.all(".chart .value")[1]
            self.wait(lambda: running.text == "16")
            self.assertIn("shared", self.all(".chart .note")[2].text)
            self.assertNotEqual(self.find("#blocks").screenshot_as_png, empty)
            self.find("#blocks").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
            self.assertRegex(self.find("#block-detail").text, r"^Block \d+: ")
        self.wait(lambda: running.text == "0")  # we went, so it was cancelled


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "--verbose"])
