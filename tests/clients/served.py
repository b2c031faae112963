"""The real server on the built-in model, for the tests of this folder; run.py says which program."""

import json
import os
import re
import subprocess
import unittest
import urllib.request

PATIENCE_S = 30


class ServedTest(unittest.TestCase):
    """Tests that share one server, on a free port: `address`, like http://127.0.0.1:40123."""

    served_name = "demo"

    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [os.environ["OCTAVO"], "serve", "--port", "0", "--kv-memory", "64MiB", "--served-name",
             cls.served_name], stdout=subprocess.PIPE, text=True)
        for line in cls.server.stdout:
            if found := re.match(r"listening on (http://\S+)", line):
                cls.address = found[1]
                return
        raise RuntimeError("octavo serve ended before it listened")

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        assert cls.server.wait(PATIENCE_S) == 0, "octavo serve did not end well"
        cls.server.stdout.close()

    def post(self, path, body):
        """What the server answers where no client has a word for it."""
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def metric(self, name):
        """The value of a metric, of its first line if it has labels."""
        with urllib.request.urlopen(self.address + "/metrics", timeout=PATIENCE_S) as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.rsplit(" ", 1)[1]) for line in lines
                    if re.match(re.escape(name) + r"(\{[^}]*\})? ", line))
