// Hopper's products of a group of four warps ("wgmma"): a [64 x 16] in registers, b in shared
// memory, both f16 or both bf16 (`type`), sums in floats. They run while the warps go on: registers
// and memory they use are not touched until they are waited for. Device code only.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace octavo::cuda {

// Registers of a group are handed to the instruction, and back when it is done.
__device__ inline void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void end_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int pending>
__device__ inline void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

// sums [64 x tokens] += a [64 x 16] * b^T, b [tokens x 16] in shared memory; after `sums` come the
// registers behind them, and what of d they are.
#define OCTAVO_PRODUCT_OF(types, tokens, sums, rest, ...)                                     \
  asm volatile("{.reg .pred p; setp.eq.u32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n" tokens \
               "k16.f32." types " {" sums "}, " rest ", p, 1, 1, 0;}"                         \
               : __VA_ARGS__                                                                  \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define OCTAVO_PRODUCT(...)                      \
  if constexpr (type == DType::bf16) {           \
    OCTAVO_PRODUCT_OF("bf16.bf16", __VA_ARGS__); \
  } else {                                       \
    OCTAVO_PRODUCT_OF("f16.f16", __VA_ARGS__);   \
  }

// `type`: of the weights; quantised ones are f16 here.
template <DType type>
__device__ inline void multiply_async(float (&d)[8], const uint32_t (&a)[4], uint64_t b) {
  OCTAVO_PRODUCT("16", "%0,%1,%2,%3,%4,%5,%6,%7", "{%8,%9,%10,%11}, %12", "+f"(d[0]), "+f"(d[1]),
                 "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]))
}

template <DType type>
__device__ inline void multiply_async(float (&d)[32], const uint32_t (&a)[4], uint64_t b) {
  OCTAVO_PRODUCT("64",
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,"
                 "%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31",
                 "{%32,%33,%34,%35}, %36", "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]),
                 "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]),
                 "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
                 "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]),
                 "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
                 "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]))
}

template <DType type>
__device__ inline void multiply_async(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {
  OCTAVO_PRODUCT("128",
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,"
                 "%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,"
                 "%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,"
                 "%60,%61,%62,%63",
                 "{%64,%65,%66,%67}, %68", "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]),
                 "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]),
                 "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
                 "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]),
                 "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
                 "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]),
                 "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
                 "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]),
                 "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]),
                 "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]),
                 "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]))
}

#undef OCTAVO_PRODUCT
#undef OCTAVO_PRODUCT_OF

// How the instruction finds lines of 128 bytes, eight lines in 1,024, in shared memory.
__device__ inline uint64_t describe_lines(uint32_t address) {
  constexpr uint64_t kSwizzled = uint64_t{1} << 62;
  constexpr uint64_t kEightLines = uint64_t{1024 / 16} << 32;
  constexpr uint64_t kUnused = uint64_t{1} << 16;
  return kSwizzled | kEightLines | kUnused | (address & 0x3FFFFU) >> 4;
}

}  // namespace octavo::cuda
