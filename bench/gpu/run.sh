#!/usr/bin/env bash
# Checks and times Octavo on a GPU in one go, in less than ten minutes: bench/gpu/run.sh [FOLDER]
#
# FOLDER has the programs octavo, cuda_test and decode_attention, built elsewhere perhaps, and model_test
# and engine_test, if the sources are where they were built; without it build/release is built here and
# taken. Models of random weights are written to $TMPDIR and removed
# again. What is printed belongs into docs/gpu-log.md and docs/benchmarks.md.
set -euo pipefail

if [ $# -gt 0 ]; then
  octavo=$1/octavo tests=$1/cuda_test attention=$1/decode_attention
else
  cd "$(dirname "$0")/../.."
  [ -f build/release/build.ninja ] || cmake --preset release
  cmake --build --preset release --target octavo cuda_test model_test engine_test decode_attention
  octavo=build/release/bin/octavo tests=build/release/tests/backend/cuda_test
  attention=build/release/bench/gpu/decode_attention
  set -- build/release/tests/model build/release/tests/engine
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

heading() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

heading "the machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
"$octavo" --version

heading "tests"
"$tests" --gtest_brief=1
for whole in "${1}/model_test" "${2:-$1}/engine_test"; do
  if [ -x "$whole" ]; then "$whole" --gtest_filter='*Cuda*' --gtest_brief=1; fi
done
if command -v compute-sanitizer >/dev/null; then
  # Every 13th case of the large tables.
  export OCTAVO_TEST_EVERY=13
  heading "memcheck of the operations"
  # memcheck takes a refusal that is asked for, by a store larger than the device, for an error.
  compute-sanitizer --tool memcheck --error-exitcode 1 "$tests" --gtest_brief=1 \
    --gtest_filter='-*.AStoreSaysThatThereIsNoMemory' | tail -3
  # The library's kernels hand shared memory from warp to warp in ways that racecheck cannot follow;
  # told to leave them out, it breaks down. So what it says of them is left.
  heading "racecheck of the operations"
  races=$folder/races
  compute-sanitizer --tool racecheck "$tests" --gtest_brief=1 > "$races" ||
    { tail -20 "$races"; exit 1; }
  tail -3 "$races"
  if grep -E "(Read|Write) access at .*octavo" "$races"; then exit 1; fi
  echo "none of them in Octavo's kernels"
  unset OCTAVO_TEST_EVERY
fi

for type in BF16 Q8_0 Q4_K_M; do
  heading "$type, the shape of Llama 3.1 8B"
  "$octavo" make-model --preset llama-8b --type "$type" "$folder/model.gguf"
  "$octavo" bench latency "$folder/model.gguf" --device cuda --batch-tokens 8192 \
    --batch-sizes 1,16,64,256 --input-tokens 512 --output-tokens 128
  "$octavo" bench latency "$folder/model.gguf" --device cuda --batch-tokens 8192 \
    --input-tokens 8192 --output-tokens 2
  heading "$type, deterministic"
  "$octavo" bench latency "$folder/model.gguf" --device cuda --batch-tokens 8192 --deterministic \
    --batch-sizes 1,64 --input-tokens 512 --output-tokens 128
  "$octavo" bench latency "$folder/model.gguf" --device cuda --batch-tokens 8192 --deterministic \
    --input-tokens 8192 --output-tokens 2
  rm "$folder/model.gguf"
done

heading "attention alone"
"$attention" cuda
heading "done"
