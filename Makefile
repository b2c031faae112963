# The everyday commands. CMake does the building; CONTRIBUTING.md has the presets behind these.
#   make run     install what is missing, build, and serve a small model over HTTP
#   make test    install what is missing, build, and run every test
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: run test build format

release := build/release

run:
	@tools/setup.sh build run
	@$(MAKE) --silent $(release)/build.ninja
	@cmake --build --preset release --target octavo octavo_manual
	@model="$$(tools/fetch_model.sh)"; exec $(release)/bin/octavo serve "$$model"

test: build
	@ctest --preset release --parallel "$$(nproc)"

build:
	@tools/setup.sh build test
	@$(MAKE) --silent $(release)/build.ninja
	@cmake --build --preset release

# Ninja configures again by itself when a CMakeLists.txt changes; it does not watch the presets.
$(release)/build.ninja: CMakePresets.json
	@cmake --preset release

# Needs clang-format 14 (packages: tools/setup.sh optional).
format:
	@git ls-files --cached --others --exclude-standard '*.h' '*.cpp' '*.cu' '*.cuh' | xargs clang-format -i
