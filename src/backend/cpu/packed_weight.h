// A weight matrix in the layout that the matrix kernels read (linear_codes.h), made from a tensor
// of a GGUF file.
//
// Output rows are stored in groups of 16, one for each lane of a vector; the last group is filled
// up with zero rows, and every group to whole cache lines. A group is one stream, read from end to
// end: the blocks of its columns in order (32 or 256 columns, as in the file), and in a block first
// the scales of the 16 rows, then the codes in chunks of 32 columns.
//
//   | scales 0 | chunk 0 | (chunks 1 to 7) | scales 1 | chunk ... | next group
//
// Codes. A chunk is 32 columns. "Word j of row r" is the four codes of columns 4j to 4j + 3; a line
// is 64 bytes, four for each row. So a chunk is, by the bits of a code,
//   8      lines 0 to 7: the words
//   4      lines 0 to 3: word j in the low, word j + 4 in the high nibbles
//   5      the same for the low four bits; line 4: bit 4 of word j at bit j of each byte
//   6      the same for the low four bits; line 4 (words 0 to 3) and line 5 (words 4 to 7): bits 4
//          and 5 of word j at bit 2 * (j % 4)
//   2      line 0 (words 0 to 3) and line 1 (words 4 to 7): word j at bit 2 * (j % 4)
//   3      the same for the low two bits; line 2: bit 2 of word j at bit j
// Float types have no chunks: a column is its 16 weights.
//
// Scales stay as in the file, side by side for the 16 rows; only the six-bit ones are widened to
// bytes (linear_codes.h lists them). Packed bytes exceed the file's by 4 % at the most, apart from
// the filling.
//
// Owns its memory. pack_group() may run on several threads for different groups; after that the
// object is immutable.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "backend/cpu/linear.h"
#include "base/dtype.h"
#include "octavo/result.h"

namespace octavo::cpu {

class PackedWeight {
 public:
  // Memory for a matrix [rows, columns]. An error when columns is not a multiple of the type's
  // block, or when there is no memory.
  static Result<PackedWeight> create(DType type, size_t rows, size_t columns);

  // How many groups there are, each to be packed once before the view is used.
  size_t groups() const { return (view_.rows + kGroupRows - 1) / kGroupRows; }
  // `tensor` is the first byte of the whole matrix as it lies in the file; no alignment is needed.
  void pack_group(size_t group, const std::byte* tensor);

  const PackedView& view() const { return view_; }
  size_t bytes() const { return groups() * view_.group_bytes; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  PackedWeight() = default;

  std::unique_ptr<std::byte[], Free> memory_;
  PackedView view_;
};

}  // namespace octavo::cpu
