# octavo_instruction_set(set file ...): compiles the files of this folder for an instruction set of
# the CPU kernels. src/backend/cpu/kernels.cpp asks the machine for the same features.
set(octavo_flags_avx2 -mavx2 -mfma -mf16c)
set(octavo_flags_avx512 -mavx2 -mfma -mf16c
  -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni)
set(octavo_flags_neon -march=armv8.2-a+dotprod+fp16)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # The AVX-512 headers of older GCC leave registers undefined on purpose and warn about it.
  list(APPEND octavo_flags_avx512 -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
function(octavo_instruction_set set)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "${octavo_flags_${set}}")
endfunction()
