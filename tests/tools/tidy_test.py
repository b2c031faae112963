"""Tests of tools/tidy.py: a small tree without faults, and one failing example for every rule."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import tidy  # noqa: E402

CLEAN = {
    "CMakeLists.txt": "add_subdirectory(src)\n",
    "include/octavo/result.h": "// Result: a value or an error.\n#pragma once\n#include <string>\n",
    "src/base/check.h": "// Stops the process when an invariant is broken.\n#pragma once\n",
    "src/base/pool.h": "// A crew of threads, for loops.\n#pragma once\n#include <thread>\n",
    "src/base/pool.cpp": '#include "base/pool.h"\n\n#include "base/check.h"\n',
    "src/base/CMakeLists.txt": "octavo_layer(base SOURCES pool.cpp)\n",
    "src/kv/table.h": '// A sequence\'s list of blocks.\n#pragma once\n#include "base/check.h"\n',
    "src/sched/plan.cpp": '#include "kv/table.h"\n',
    "src/sched/CMakeLists.txt": "octavo_layer(sched SOURCES plan.cpp NEEDS octavo_kv)\n",
    "src/backend/tensor.h": "// A view of rows of floats.\n#pragma once\n",
    "src/model/llama.cpp": '#include "backend/tensor.h"\n#include "base/pool.h"\n',
    "src/model/CMakeLists.txt": "octavo_layer(model SOURCES llama.cpp)\n",
}


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        for path, text in CLEAN.items():
            self.write(path, text)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def source(self, folder, text, name="extra.cpp"):
        """Adds a source file that a CMakeLists.txt names."""
        self.write(f"{folder}/{name}", text)
        self.write(f"{folder}/CMakeLists.txt", f"octavo_layer(x SOURCES {name} plan.cpp llama.cpp)\n")

    def faults(self):
        # The layout of code is left to clang-format, tested on its own below.
        rules = tuple(rule for rule in tidy.RULES if rule is not tidy.code_format)
        project = tidy.Project(self.root)
        return [f"{f.path}:{f.line}: {f.message}" for rule in rules for f in rule(project)]

    def assert_only(self, start, part):
        faults = self.faults()
        self.assertEqual(len(faults), 1, faults)
        self.assertTrue(faults[0].startswith(start), faults)
        self.assertIn(part, faults[0])

    def test_clean_tree_has_no_faults(self):
        self.assertEqual(self.faults(), [])

    # --- the layers ---

    def test_layer_includes_what_it_may_not(self):
        self.source("src/gguf", '#include <vector>\n#include "kv/table.h"\n')
        self.assert_only("src/gguf/extra.cpp:2:", "gguf may not include kv/table.h of kv")

    def test_commented_include_is_no_include(self):
        self.source("src/gguf", '// #include "kv/table.h"\n/*\n#include "kv/table.h"\n*/\n')
        self.assertEqual(self.faults(), [])

    def test_unknown_layer(self):
        self.source("src/misc", "int x;\n")
        self.assert_only("src/misc/extra.cpp:1:", "not a layer")

    def test_model_sees_the_interface_and_no_backend(self):
        self.write("src/backend/cpu/kernel.h", "// A kernel of the processor.\n#pragma once\n")
        self.source("src/model", '#include "backend/cpu/kernel.h"\n')
        self.assert_only("src/model/extra.cpp:1:", "model may not include")

    def test_backends_do_not_see_each_other(self):
        self.write("src/backend/cpu/kernel.h", "// A kernel of the processor.\n#pragma once\n")
        self.source("src/backend/cuda", '#include "backend/cpu/kernel.h"\n')
        self.assert_only("src/backend/cuda/extra.cpp:1:", "backend/cuda may not include")

    def test_only_the_factory_sees_a_backend(self):
        self.write("src/backend/cpu/cpu_backend.h", "// The processor's backend.\n#pragma once\n")
        include = '#include "backend/cpu/cpu_backend.h"\n'
        self.source("src/backend", include, "create_backend.cpp")
        self.assertEqual(self.faults(), [])
        self.source("src/engine", include)
        self.assert_only("src/engine/extra.cpp:1:", "engine may not include")

    def test_bookkeeping_sees_no_clock(self):
        self.source("src/sched", "#include <chrono>\n")
        self.assert_only("src/sched/extra.cpp:1:", "sched must not see chrono")

    def test_bookkeeping_sees_no_thread_through_another_header(self):
        self.source("src/sched", '#include <vector>\n#include "base/pool.h"\n')
        self.assert_only("src/sched/extra.cpp:2:", "sched must not see thread (by base/pool.h)")

    def test_bookkeeping_sees_no_tensor(self):
        self.write("src/base/tensor.h", "// A view of rows of floats.\n#pragma once\n")
        self.source("src/sched", '#include "base/tensor.h"\n')
        self.assert_only("src/sched/extra.cpp:1:", "must not see src/base/tensor.h")

    def test_public_header_includes_a_private_one(self):
        self.write("include/octavo/engine.h",
                   '// The engine for programs.\n#pragma once\n#include "base/check.h"\n')
        self.assert_only("include/octavo/engine.h:3:", "only the standard library")

    def test_public_header_includes_a_library(self):
        self.write("include/octavo/engine.h",
                   "// The engine for programs.\n#pragma once\n#include <fmt/format.h>\n")
        self.assert_only("include/octavo/engine.h:3:", "only the standard library")

    def test_cuda_header_outside_its_folder(self):
        self.source("src/model", "#include <cuda_runtime.h>\n")
        self.assert_only("src/model/extra.cpp:1:", "belongs in src/backend/cuda")

    def test_library_of_the_program_in_the_engine(self):
        self.source("src/model", "#include <vector>\n#include <boost/asio/post.hpp>\n")
        self.assert_only("src/model/extra.cpp:2:", "belongs in src/server or src/cli")

    def test_library_of_the_program_in_the_server(self):
        self.source("src/server", "#include <boost/asio/post.hpp>\n")
        self.assertEqual(self.faults(), [])

    def test_getenv_outside_cli(self):
        self.source("src/model", '// getenv\nauto a = "getenv";\nauto b = std::getenv("HOME");\n')
        self.assert_only("src/model/extra.cpp:3:", "getenv only in src/cli")

    def test_getenv_in_cli(self):
        self.source("src/cli", 'auto b = std::getenv("HOME");\n')
        self.assertEqual(self.faults(), [])

    # --- sizes ---

    def test_function_of_71_lines(self):
        self.source("src/base", "int x;\nint f() {\n" + "  g();\n" * 69 + "}\n", "pool.cpp")
        self.assert_only("src/base/pool.cpp:2:", "a function of 71 lines")

    def test_function_of_70_lines(self):
        self.source("src/base", "int f() {\n" + "  g();\n" * 68 + "}\n", "pool.cpp")
        self.assertEqual(self.faults(), [])

    def test_functions_are_told_from_what_surrounds_them(self):
        """Each long function below is found at its first line; nothing else counts as one."""
        body = " {\n" + "  if (x) { g('{', \"{\", R\"({)\", 1'000); }  // {\n" * 70 + "}\n"
        heads = {
            "plain": ("", "void f(int a = {1}) const noexcept", ""),
            "method": ("namespace n {\nclass C : B<int> {\n public:\n", "  int f() override",
                       "};\n}\n"),
            "constructor": ("", "C::C(int a) : a_{a}, b_(a), c_{1, 2}", ""),
            "template": ("template <class T, class U = std::vector<T>>\n", "T f(T t)", ""),
            "language": ('extern "C" {\n', "void f()", "}\n"),
            "after an array": ("const int k[] = {1, 2};\nstd::map<int, int> m{{1, 2}};\n",
                               "auto f() -> int", ""),
            "after a directive": ("#define OPEN {  \\\n  {\n", "TEST(Suite, name)", ""),
        }
        for name, (before, head, after) in heads.items():
            with self.subTest(name):
                self.source("src/base", before + head + body + after, "pool.cpp")
                line = before.count("\n") + 1
                self.assert_only(f"src/base/pool.cpp:{line}:", "a function of 72 lines")

    def test_long_table_and_long_class_are_no_functions(self):
        table = "constexpr std::array<int, 80> k = {{\n" + "    1,\n" * 80 + "}};\n"
        members = "class C {\n" + "  int f() { return 1; }\n" * 80 + "};\n"
        self.source("src/base", table + members, "pool.cpp")
        self.assertEqual(self.faults(), [])

    def test_file_of_801_lines(self):
        self.source("src/base", "int x;\n" * 801, "pool.cpp")
        self.assert_only("src/base/pool.cpp:801:", "at most 800")

    def test_model_file_of_301_lines(self):
        self.source("src/model", "int x;\n" * 301)
        self.assert_only("src/model/extra.cpp:301:", "at most 300")

    def test_architecture_of_151_lines(self):
        self.write("docs/ARCHITECTURE.md", "line\n" * 151)
        self.assert_only("docs/ARCHITECTURE.md:151:", "at most 150")

    # --- headers and dead files ---

    def test_header_without_comment(self):
        self.write("src/base/check.h", "#pragma once\n")
        self.assert_only("src/base/check.h:1:", "begins with a comment")

    def test_header_without_guard(self):
        self.write("src/base/check.h", "// Stops the process when an invariant is broken.\n")
        self.assert_only("src/base/check.h:1:", "#pragma once")

    def test_source_that_no_cmake_file_names(self):
        self.write("src/base/orphan.cpp", "int x;\n")
        self.assert_only("src/base/orphan.cpp:1:", "no CMakeLists.txt names it")

    def test_source_named_in_a_comment_only(self):
        self.write("src/base/orphan.cpp", "int x;\n")
        self.write("src/base/CMakeLists.txt", "octavo_layer(base SOURCES pool.cpp)  # orphan.cpp\n")
        self.assert_only("src/base/orphan.cpp:1:", "no CMakeLists.txt names it")

    def test_header_that_nothing_else_includes(self):
        self.write("src/base/orphan.h", "// Nobody wants this one.\n#pragma once\n")
        self.source("src/base", '#include "base/orphan.h"\n', "orphan.cpp")
        self.write("src/base/CMakeLists.txt", "octavo_layer(base SOURCES pool.cpp orphan.cpp)\n")
        self.assert_only("src/base/orphan.h:1:", "a dead file")

    # --- text ---

    def test_tab(self):
        self.source("src/base", "int x;\n\tint y;\n", "pool.cpp")
        self.assert_only("src/base/pool.cpp:2:", "a tab")

    def test_tab_in_a_makefile(self):
        self.write("Makefile", "all:\n\ttrue\n")
        self.assertEqual(self.faults(), [])

    def test_trailing_space(self):
        self.write("README.md", "Octavo \n")
        self.assert_only("README.md:1:", "spaces at the end")

    def test_no_newline_at_the_end(self):
        self.write("README.md", "Octavo\nends")
        self.assert_only("README.md:2:", "no newline")

    def test_unfinished_work(self):
        for word in ("TO" "DO", "FIX" "ME", "XX" "X"):
            with self.subTest(word):
                self.write("README.md", f"Octavo\n{word}: more\n")
                self.assert_only("README.md:2:", "finish it")

    def test_path_of_one_machine(self):
        for path in ("/ho" "me/ann/octavo", "/wo" "rk/octavo", "/ro" "ot", "`/tm" "p/x`"):
            with self.subTest(path):
                self.write("README.md", f"See {path} for more.\n")
                self.assert_only("README.md:1:", "belongs to one machine")

    def test_relative_paths_and_addresses_are_no_machine(self):
        self.write("README.md", "build/tmp/x, https://example.org/home/, ~/work, ${X}/root, /etc\n")
        self.assertEqual(self.faults(), [])

    def test_data_is_not_judged(self):
        self.write("tests/data/words.txt", "\tTO" "DO \nend")
        (self.root / "model.gguf").write_bytes(b"GGUF\0\xff\t \n")
        self.assertEqual(self.faults(), [])

    @unittest.skipUnless(tidy.clang_format(), "clang-format 14 is not installed")
    def test_layout(self):
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.source("src/base", "int x;\nint   y;\n", "pool.cpp")
        faults = list(tidy.code_format(tidy.Project(self.root)))
        self.assertEqual([(f.path, f.line) for f in faults], [("src/base/pool.cpp", 2)])

    # --- the script ---

    def test_files_that_git_ignores_are_left_out(self):
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.write(".gitignore", "/out/\n")
        self.write("out/x.md", "tab\t\n")
        self.write("new.md", "tab\t.\n")
        self.assert_only("new.md:1:", "a tab")

    def test_exit_status_and_output(self):
        script = Path(tidy.__file__)
        done = subprocess.run([sys.executable, script, "--root", self.root], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.write("README.md", "Octavo \n")
        done = subprocess.run([sys.executable, script, "--root", self.root], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("README.md:1: spaces at the end of the line\n", done.stdout)


if __name__ == "__main__":
    unittest.main()
