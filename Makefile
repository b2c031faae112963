# The everyday commands. CMake does the building; CONTRIBUTING.md has the presets behind these.
#   make run     install what is missing, build, and chat with a small model
#   make test    install what is missing, build, and run every test
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: run test build format

release := build/release
sample_prompt := Why is the sky blue?

run:
	@tools/setup.sh build run
	@$(MAKE) --silent $(release)/build.ninja
	@cmake --build --preset release --target octavo
	@model="$$(tools/fetch_model.sh)"; \
	if [ -t 0 ]; then exec $(release)/bin/octavo run "$$model"; \
	else exec $(release)/bin/octavo run "$$model" --temperature 0 --prompt "$(sample_prompt)"; fi

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
	@git ls-files --cached --others --exclude-standard '*.h' '*.cpp' | xargs clang-format -i
