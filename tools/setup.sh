#!/usr/bin/env bash
# Installs what is missing of the named sections of tools/packages.txt: tools/setup.sh build run
#
# Asks the package database first, so that a second run does nothing and needs no network. Without
# apt it only says what to install. Exits non-zero when something is still missing.
set -euo pipefail

list="$(dirname "$0")/packages.txt"
if [ $# -eq 0 ]; then
  echo "usage: tools/setup.sh SECTION...   (sections: $(sed -n 's/^\[\(.*\)\]$/\1/p' "$list" | paste -sd' '))" >&2
  exit 2
fi

# The packages of one section, one a line.
packages_of() {
  awk -v section="[$1]" '/^\[/ { inside = ($1 == section); next } inside && NF && !/^#/ { print $1 }' "$list"
}

wanted=()
for section in "$@"; do
  mapfile -t packages < <(packages_of "$section")
  if [ ${#packages[@]} -eq 0 ]; then
    echo "tools/setup.sh: $list has no section [$section]" >&2
    exit 2
  fi
  wanted+=("${packages[@]}")
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  {
    echo "This system has no apt. Octavo needs these packages (Debian's names; reasons in tools/packages.txt):"
    echo "  ${wanted[*]}"
    echo "Install their counterparts, then: cmake --preset release && cmake --build --preset release"
  } >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Octavo needs root or sudo to install: ${missing[*]}" >&2
    echo "As root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing: ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
