#!/bin/sh
# Checks that object files of the CPU kernels which are compiled for an instruction set define no
# symbol outside that set's namespace: the linker could take such a function, with instructions that
# the machine may lack, for the same one elsewhere. Left out are data without instructions: the
# runtime's own references (DW.ref) and the address sanitizer's marks of variables (__odr_asan).
#   instruction_set_check.sh nm object...
set -eu
nm=$1
shift
checked=0
for object; do
  set=$(basename "$object" .cpp.o)
  case $set in
    kernels_*) set=${set#kernels_} ;;
    *) continue ;;
  esac
  if "$nm" -C --defined-only "$object" | grep -E ' [TDRBWVu] ' |
    grep -v -e "octavo::cpu::$set::" -e "octavo::cpu::kernels_$set\$" -e ' DW\.ref\.' \
      -e ' __odr_asan\.'; then
    echo "$object: the symbols above are outside octavo::cpu::$set" >&2
    exit 1
  fi
  checked=$((checked + 1))
done
test "$checked" -gt 1
