#!/usr/bin/env python3
"""Checks what a compiler does not: the layers, sizes, dead files and the like.

Runs over the files git knows of (or all files, outside a repository) and prints one line for each
fault, `file:line: what is wrong`. Exits 1 when there is one. It runs as a test; by hand:

    python3 tools/tidy.py

Every rule is a function that takes the Project and yields Faults; RULES lists them. A rule's
failing example is in tests/tools/tidy_test.py.
"""

import argparse
import bisect
import collections
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

Fault = collections.namedtuple("Fault", "path line message")

# Which layers a layer may include, besides itself and include/octavo; docs/ARCHITECTURE.md has the
# reasons.
ARROWS = {
    "base": set(),
    "gguf": {"base"},
    "text": {"gguf", "base"},
    "kv": {"base"},
    "sched": {"kv", "base"},
    "simulate": {"kv", "sched", "base"},
    "backend": {"gguf", "base"},
    "backend/cpu": {"backend", "gguf", "base"},
    "backend/cuda": {"backend", "gguf", "base"},
    "model": {"backend", "gguf", "base"},
    "engine": {"sched", "kv", "model", "text", "gguf", "backend", "base"},
    "server": {"engine", "text", "base"},
    "batch": {"engine", "text", "base"},
    "cli": None,  # anything
}
# The one file of the backend interface that knows the backends: it makes one by its name.
FACTORY = "src/backend/create_backend.cpp"
BACKENDS = ("backend/cpu", "backend/cuda")

# Bookkeeping must be drivable by a simulator: no clock, no thread, no tensor, not even indirectly.
BOOKKEEPING = ("kv", "sched", "simulate")
CLOCKS_AND_THREADS = {
    "atomic", "barrier", "chrono", "condition_variable", "ctime", "future", "latch", "mutex",
    "pthread.h", "semaphore", "shared_mutex", "stop_token", "sys/time.h", "thread", "time.h",
}
C_STANDARD_HEADERS = {"stdbool.h", "stddef.h", "stdint.h"}
CUDA_HEADER = re.compile(r"(cuda|cublas|cub/|cutlass|nccl|nv)")
# Libraries that another program should not need only because it has the engine inside.
PROGRAM_LAYERS = ("server", "cli")
PROGRAM_HEADER = re.compile(r"(boost|CLI|curl|openssl|prometheus)/|(histedit|sqlite3)\.h$")

CODE_FOLDERS = ("src", "include", "tests", "bench", "examples")
MOST_LINES_OF_A_FUNCTION = 70
MOST_LINES_OF_A_FILE = 800
MOST_LINES_OF_A_MODEL_FILE = 300
MOST_LINES_OF_THE_ARCHITECTURE = 150

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
# Somebody's machine: a home folder, a scratch folder, a checkout.
MACHINE_PATH = re.compile(r"(?<![\w.~})>-])/(home|root|work|workspace|Users|tmp)\b(?!\.)")
MACHINE_WORD = re.compile(r"\bwork" r"place\b", re.IGNORECASE)

# Comments, strings and character constants. Numbers are here for their digit separators: 1'000.
TOKEN = re.compile(
    r"""(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)
      |(?P<raw>R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")
      |(?P<string>"(?:\\.|[^"\\\n])*")
      |(?P<number>\b\d(?:[\w.]|'\w)*)
      |(?P<character>'(?:\\.|[^'\\\n])+')""",
    re.DOTALL | re.VERBOSE)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"\n]+)[>\"]", re.MULTILINE)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)


def blank(text):
    """The text as spaces; line ends stay."""
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    return TOKEN.sub(lambda m: blank(m.group()) if m.lastgroup == "comment" else m.group(), text)


def bare_code(text):
    """The code without comments, strings, character constants and preprocessor directives."""
    def replace(match):
        return match.group() if match.group("number") else blank(match.group())
    return DIRECTIVE.sub(lambda m: blank(m.group()), TOKEN.sub(replace, text))


class Project:
    """The files of a source tree, by their path below its root ("src/base/utf8.h")."""

    def __init__(self, root):
        self.root = Path(root)
        self.paths = sorted(self._list())
        self._known = set(self.paths)
        self._texts = {}
        self._includes = {}

    def _list(self):
        command = ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others",
                   "--exclude-standard"]
        try:
            done = subprocess.run(command, capture_output=True, check=True)
            listed = done.stdout.decode().split("\0")
        except (OSError, subprocess.CalledProcessError):  # no git, or an unpacked archive
            listed = []
            for folder, folders, files in os.walk(self.root):
                folders[:] = [name for name in folders if name not in (".git", "build")]
                listed += [(Path(folder) / name).relative_to(self.root).as_posix()
                           for name in files]
        return {path for path in listed if path and (self.root / path).is_file()}

    def has(self, path):
        return path in self._known

    def text(self, path):
        """The file as text, or None when it is not text."""
        if path not in self._texts:
            data = (self.root / path).read_bytes()
            try:
                self._texts[path] = None if b"\0" in data else data.decode()
            except UnicodeDecodeError:
                self._texts[path] = None
        return self._texts[path]

    def code(self, *suffixes):
        """The C++ and CUDA files with one of these suffixes (all, when none is named)."""
        suffixes = suffixes or (".h", ".c", ".cpp", ".cu", ".cuh")
        return [path for path in self.paths
                if path.split("/")[0] in CODE_FOLDERS and path.endswith(suffixes)
                and self.text(path) is not None]

    def prose(self):
        """All text files, less the data that tests read."""
        return [path for path in self.paths
                if not path.startswith(("tests/data/", "tests/fuzz/corpus", "docs/images/"))
                and self.text(path) is not None]

    def includes(self, path):
        """[(line, name, file of the project or None)] of every include directive."""
        if path not in self._includes:
            text = without_comments(self.text(path))
            self._includes[path] = [
                (line_of(text, match.start(2)), match[2],
                 self._resolve(path, match[2]) if match[1] == '"' else None)
                for match in INCLUDE.finditer(text)]
        return self._includes[path]

    def _resolve(self, includer, name):
        here = PurePosixPath(includer).parent
        for candidate in (here / name, PurePosixPath("include") / name,
                          PurePosixPath("src") / name, PurePosixPath("tests") / name):
            path = os.path.normpath(candidate.as_posix())
            if self.has(path):
                return path
        return None

    def reached(self, path):
        """{name: chain} of all that `path` includes, directly or not.

        A name is a file of the project or a header elsewhere; its chain is [(line in `path`,
        first name), further names ..., the name itself]."""
        chains = {}
        waiting = collections.deque()

        def add(name, resolved, chain):
            if (resolved or name) not in chains:
                chains[resolved or name] = chain
                if resolved:
                    waiting.append(resolved)

        for line, name, resolved in self.includes(path):
            add(name, resolved, [line, name])
        while waiting:
            via = waiting.popleft()
            for _, name, resolved in self.includes(via):
                add(name, resolved, chains[via] + [name])
        return chains


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def layer_of(path):
    """The layer a file belongs to; "public" for include/octavo, None outside src/ and include/."""
    parts = path.split("/")
    if parts[:2] == ["include", "octavo"]:
        return "public"
    if parts[0] != "src" or len(parts) < 3:
        return None
    if parts[1] == "backend" and len(parts) > 3:
        return "/".join(parts[1:3])
    return parts[1]


# --- the layers ---


def arrows(project):
    """A file includes only what its layer may see."""
    for path in project.code():
        layer = layer_of(path)
        if layer is None or layer == "public":
            continue
        if layer not in ARROWS:
            yield Fault(path, 1, f"src/{layer} is not a layer that tools/tidy.py knows")
            continue
        allowed = ARROWS[layer]
        for line, name, target in project.includes(path):
            seen = layer_of(target) if target else None
            if (allowed is None or seen in (None, "public", layer) or seen in allowed
                    or (path == FACTORY and seen in BACKENDS)):
                continue
            yield Fault(path, line, f"{layer} may not include {name} of {seen}")


def bookkeeping(project):
    """kv/ and sched/ see no clock, no thread and no tensor, through other headers either."""
    for path in project.code():
        layer = layer_of(path)
        if layer not in BOOKKEEPING:
            continue
        for name, chain in project.reached(path).items():
            if name in CLOCKS_AND_THREADS or PurePosixPath(name).name == "tensor.h":
                yield Fault(path, chain[0], f"{layer} must not see {name}{way(chain)}")


def way(chain):
    return f" (by {' -> '.join(chain[1:-1])})" if len(chain) > 2 else ""


def public_headers(project):
    """include/octavo needs nothing but the standard library and itself."""
    for path in project.code():
        if layer_of(path) != "public":
            continue
        for line, name, target in project.includes(path):
            of_the_project = target is not None and layer_of(target) == "public"
            standard = target is None and (re.fullmatch(r"[a-z_0-9]+", name)
                                           or name in C_STANDARD_HEADERS)
            if not of_the_project and not standard:
                yield Fault(path, line, f"a public header may not include {name}: only the "
                                        "standard library and octavo/")


def cuda_headers(project):
    """CUDA headers are seen by backend/cuda alone."""
    for path in project.code():
        if path.startswith("src/backend/cuda/"):
            continue
        for line, name, target in project.includes(path):
            if target is None and CUDA_HEADER.match(name):
                yield Fault(path, line, f"{name} belongs in src/backend/cuda")


def program_libraries(project):
    """Libraries for sockets, terminals and the like are the server's and the commands' alone."""
    for path in project.code():
        if layer_of(path) in (None, *PROGRAM_LAYERS):
            continue
        for line, name, target in project.includes(path):
            if target is None and PROGRAM_HEADER.match(name):
                yield Fault(path, line, f"{name} belongs in src/server or src/cli: the engine "
                                        "does without")


def environment(project):
    """The environment is read in src/cli and nowhere else."""
    for path in project.code():
        if layer_of(path) in (None, "cli"):
            continue
        code = bare_code(project.text(path))
        for match in re.finditer(r"\b(secure_)?getenv\b", code):
            yield Fault(path, line_of(code, match.start()),
                        "getenv only in src/cli: pass the value as an argument")


# --- sizes ---


def closing(code, opening):
    """The offset of the bracket that closes the one at `opening`."""
    depth = 0
    for match in re.compile(r"[{}()]").finditer(code, opening):
        depth += 1 if match.group() in "{(" else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def declaration(head):
    """A declaration's head without what may stand before it: access, template<...>, attributes."""
    while True:
        rest = re.sub(r"^((public|private|protected)\s*:|\[\[[^\]]*\]\]|alignas\s*\([^)]*\))", "",
                      head.lstrip())
        if re.match(r"template\s*<", rest):
            depth = 0
            for offset, character in enumerate(rest):
                depth += {"<": 1, ">": -1}.get(character, 0)
                if character == ">" and depth == 0:
                    break
            rest = rest[offset + 1:]
        if rest == head:
            return head
        head = rest


def opens_scope(head):
    """Whether the brace after `head` holds declarations: a namespace, a class, extern "C"."""
    head = declaration(head)
    return head.strip() == "extern" or re.match(
        r"((inline|static|constexpr|const|typedef)\s+)*(namespace|class|struct|union|enum)\b",
        head) is not None


def functions(code):
    """Yields (first, last): where each function's declaration begins and its body ends.

    `code` is bare code. Functions inside functions (lambdas) belong to the outer one."""
    start = position = 0  # start: where the current declaration begins
    while position < len(code):
        character = code[position]
        if character in ";}":
            start = position + 1
        elif character == "(":
            position = closing(code, position)
        elif character == "{":
            head = code[start:position]
            if head.rstrip().endswith("="):  # an initialiser
                position = closing(code, position)
            elif opens_scope(head):
                start = position + 1
            else:
                end = closing(code, position)
                following = code[end + 1:].lstrip()[:1]
                # In a constructor's list of members, a{1}, b{2} come before the body.
                if following not in (",", "{"):
                    if "(" in head:
                        yield len(code) - len((declaration(head) + code[position:])), end
                    start = end + 1
                position = end
        position += 1


def function_length(project):
    for path in project.code():
        code = bare_code(project.text(path))
        for first, last in functions(code):
            begin, end = line_of(code, first), line_of(code, last)
            if end - begin + 1 > MOST_LINES_OF_A_FUNCTION:
                yield Fault(path, begin, f"a function of {end - begin + 1} lines; "
                                         f"at most {MOST_LINES_OF_A_FUNCTION}")


def file_length(project):
    others = [path for path in project.paths if path.endswith((".py", ".sh", ".cmake", ".txt"))
              and not path.startswith("tests/data/") and project.text(path) is not None]
    limits = {path: MOST_LINES_OF_A_FILE for path in project.code() + others}
    for path in limits:
        if path.startswith("src/model/"):
            limits[path] = MOST_LINES_OF_A_MODEL_FILE
    if project.has("docs/ARCHITECTURE.md"):
        limits["docs/ARCHITECTURE.md"] = MOST_LINES_OF_THE_ARCHITECTURE
    for path, limit in limits.items():
        lines = project.text(path).count("\n")
        if lines > limit:
            yield Fault(path, lines, f"a file of {lines} lines; at most {limit}")


# --- headers and dead files ---


def header_form(project):
    """A header begins with a comment that says what it is, and is guarded by #pragma once."""
    for path in project.code(".h", ".cuh"):
        text = project.text(path)
        first = text.split("\n", 1)[0]
        if len(re.findall(r"\w+", first)) < 3 or not first.startswith(("//", "/*")):
            yield Fault(path, 1, "a header begins with a comment that says what it is")
        if not re.search(r"^#pragma once$", text, re.MULTILINE):
            yield Fault(path, 1, "a header needs #pragma once")


def dead_files(project):
    """Sources are named by a CMakeLists.txt; headers are included by something else."""
    included = {target for path in project.code() for _, _, target in project.includes(path)
                if target and os.path.splitext(path)[0] != os.path.splitext(target)[0]}
    for path in project.code():
        if path.endswith((".h", ".cuh")):
            if layer_of(path) != "public" and path not in included:
                yield Fault(path, 1, "a dead file: nothing but its own source includes it")
        elif not named_by_cmake(project, path):
            yield Fault(path, 1, "a dead file: no CMakeLists.txt names it")


def named_by_cmake(project, path):
    for folder in PurePosixPath(path).parents:
        lists = (folder / "CMakeLists.txt").as_posix()
        if not project.has(lists):
            continue
        relative = PurePosixPath(path).relative_to(folder).as_posix()
        text = re.sub(r"#.*", "", project.text(lists))
        if re.search(rf"(?<![\w.-]){re.escape(relative)}(?![\w.-])", text):
            return True
    return False


# --- text ---


def text_form(project):
    """No tabs, no trailing spaces, a newline at the end, nothing left undone."""
    for path in project.prose():
        text = project.text(path)
        if text and not text.endswith("\n"):
            yield Fault(path, text.count("\n") + 1, "no newline at the end of the file")
        tabs_allowed = path.split("/")[-1] == "Makefile"
        for number, line in enumerate(text.split("\n"), start=1):
            if "\t" in line and not tabs_allowed:
                yield Fault(path, number, "a tab")
            if line != line.rstrip():
                yield Fault(path, number, "spaces at the end of the line")
            if UNFINISHED.search(line):
                yield Fault(path, number, f"{UNFINISHED.search(line).group()}: finish it, or "
                                          "write an issue")


def machine_words(project):
    """Nothing in the project depends on, or tells of, the machine it was written on."""
    for path in project.prose():
        for number, line in enumerate(project.text(path).split("\n"), start=1):
            found = MACHINE_PATH.search(line) or MACHINE_WORD.search(line)
            if found:
                yield Fault(path, number, f"'{found.group()}' belongs to one machine")


def clang_format():
    """The clang-format 14 of this machine, or None: other versions lay code out differently."""
    for name in ("clang-format-14", "clang-format"):
        program = shutil.which(name)
        if program:
            version = subprocess.run([program, "--version"], capture_output=True, text=True)
            if re.search(r"version 14\.", version.stdout):
                return program
    return None


def code_format(project):
    program = clang_format()
    files = project.code()
    if not program:
        print("tidy: clang-format 14 is not installed; the layout of the code is not checked")
        return
    if not files:
        return
    done = subprocess.run([program, "--dry-run", "--style=file", *files], cwd=project.root,
                          capture_output=True, text=True)
    seen = set()
    for match in re.finditer(r"^(.+?):(\d+):\d+: (?:warning|error)", done.stderr, re.MULTILINE):
        if match[1] not in seen:  # the first place of each file is enough
            seen.add(match[1])
            yield Fault(match[1], int(match[2]), "not as clang-format lays it out: make format")


RULES = (arrows, bookkeeping, public_headers, cuda_headers, program_libraries, environment,
         function_length, file_length, header_form, dead_files, text_form, machine_words,
         code_format)


def check(root):
    """All faults of the tree at `root`, in order of file and line."""
    project = Project(root)
    return project, sorted({fault for rule in RULES for fault in rule(project)})


def main():
    parser = argparse.ArgumentParser(description="Checks the project's own rules.")
    parser.add_argument("--root", default=Path(__file__).resolve().parent.parent,
                        help="the source tree (default: the one this script is in)")
    project, faults = check(parser.parse_args().root)
    for fault in faults:
        print(f"{fault.path}:{fault.line}: {fault.message}")
    print(f"tidy: {len(project.paths)} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
