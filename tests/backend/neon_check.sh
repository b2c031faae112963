#!/bin/sh
# Builds kernel_digest for 64-bit Arm, runs it under an emulator and compares what it prints with
# the native program. By hand, from the root of the repository after a build:
#   tests/backend/neon_check.sh build/release/tests/backend/kernel_digest . build/neon \
#     aarch64-linux-gnu-g++ qemu-aarch64-static
set -eu
native=$1 root=$2 work=$3 compiler=$4 emulator=$5

# fmt's headers are the same on every machine, but the rest of the folder they lie in is not.
mkdir -p "$work/include"
ln -sfn /usr/include/fmt "$work/include/fmt"

flags="-std=c++20 -O2 -ffp-contract=off -Wall -Wextra -Werror -DFMT_HEADER_ONLY
  -I$root/src -I$root/include -I$root/tests -I$work/include"
objects=
compile() {  # file, further flags
  object=$work/$(basename "$1" .cpp).o
  # shellcheck disable=SC2086 # the flags are words
  "$compiler" $flags $2 -c "$root/$1" -o "$object"
  objects="$objects $object"
}
neon="-march=armv8.2-a+dotprod+fp16"
compile tests/backend/kernel_digest.cpp ""
compile tests/backend/simd_probe.cpp ""
compile tests/backend/simd_probe_scalar.cpp ""
compile tests/backend/simd_probe_neon.cpp "$neon"
compile src/backend/cpu/kernels.cpp ""
compile src/backend/cpu/kernels_scalar.cpp ""
compile src/backend/cpu/kernels_neon.cpp "$neon"
compile src/backend/cpu/packed_weight.cpp ""
compile src/base/check.cpp ""
# shellcheck disable=SC2086
"$compiler" -static $objects -o "$work/kernel_digest"

"$native" >"$work/native.txt"
"$emulator" "$work/kernel_digest" >"$work/neon.txt" 2>"$work/checked.txt"
grep -q neon "$work/checked.txt"
cmp "$work/native.txt" "$work/neon.txt"
echo "$(wc -l <"$work/neon.txt") digests agree"
