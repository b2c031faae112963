#!/usr/bin/env bash
# Checks and times Octavo on a GPU in one go, in less than ten minutes: bench/gpu/run.sh [FOLDER]
#
# FOLDER has the programs `octavo` and `cuda_test`, built elsewhere perhaps; without it build/release is
# built here and taken. Models of random weights are written to $TMPDIR and removed again. What is printed
# belongs into docs/gpu-log.md and docs/benchmarks.md.
set -euo pipefail

if [ $# -gt 0 ]; then
  octavo=$1/octavo tests=$1/cuda_test
else
  cd "$(dirname "$0")/../.."
  [ -f build/release/build.ninja ] || cmake --preset release
  cmake --build --preset release --target octavo cuda_test
  octavo=build/release/bin/octavo tests=build/release/tests/backend/cuda_test
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

heading() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

heading "the machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
"$octavo" --version

heading "tests of the operations"
"$tests" --gtest_brief=1
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    heading "$tool of the operations"
    timeout 150 compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests" --gtest_brief=1 \
      --gtest_filter='*RowOperations*:*Embed*:*Copies*' | tail -3
  done
fi

heading "greedy texts of the built-in model, GPU and CPU"
printf '%s\n' "Once upon a time" "The little dog" "One day, a boy" > "$folder/prompts.txt"
for place in cpu cuda; do
  "$octavo" generate builtin --prompts "$folder/prompts.txt" --temperature 0 --max-tokens 200 \
    --device "$place" --output "$folder/$place.jsonl"
done
cmp "$folder/cpu.jsonl" "$folder/cuda.jsonl" && echo "the same" || true

for type in BF16 Q8_0 Q4_K_M; do
  heading "$type, the shape of Llama 3.1 8B"
  "$octavo" make-model --preset llama-8b --type "$type" "$folder/model.gguf"
  "$octavo" bench latency "$folder/model.gguf" --device cuda --batch-tokens 8192 --repeats 1 \
    --batch-sizes 1,16,64,256 --input-tokens 512 --output-tokens 128
  "$octavo" bench latency "$folder/model.gguf" --device cuda --batch-tokens 8192 --repeats 1 \
    --batch-sizes 1 --input-tokens 8192 --output-tokens 2
  rm "$folder/model.gguf"
done
heading "done"
