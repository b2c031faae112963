#!/usr/bin/env python3
"""Runs every *_test.py of this folder with the clients of requirements.txt: python3 run.py OCTAVO VENV

Makes the virtual environment VENV when it is not there, or was made for other requirements. Exits
with 77 (skipped) when that is not possible: without a network, or without Python's venv.
"""

import os
import pathlib
import subprocess
import sys

SKIPPED = 77
FOLDER = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = FOLDER / "requirements.txt"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def run(*command):
    """The last line that a command which failed wrote; None when it succeeded."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = done.stdout.strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"{command[0]} failed")


def make_environment(venv):
    python = venv / "bin" / "python"
    stamp = venv / "made-of.txt"  # written last: an environment that is half made is made again
    if stamp.is_file() and stamp.read_text() == REQUIREMENTS.read_text():
        return python
    if why := run(sys.executable, "-m", "venv", "--clear", str(venv)):
        skip(f"{why} (tools/setup.sh test installs python3-venv)")
    if why := run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  "--retries", "1", "--timeout", "15", "-r", str(REQUIREMENTS)):
        skip(f"the clients can not be installed: {why}")
    stamp.write_text(REQUIREMENTS.read_text())
    return python


def main():
    octavo, venv = sys.argv[1:3]
    python = make_environment(pathlib.Path(venv))
    environment = dict(os.environ, OCTAVO=octavo, NO_PROXY="127.0.0.1", PYTHONDONTWRITEBYTECODE="1")
    os.execve(python, [str(python), "-W", "ignore::DeprecationWarning", "-m", "unittest", "discover",
                       "-s", str(FOLDER), "-p", "*_test.py"], environment)


if __name__ == "__main__":
    main()
