// Builds a GGUF version 3 file: metadata, then tensors, in the order in which they are added. The
// data of a tensor are given with it, or made piece by piece while the file is written.
//
// Owns what is added. Not safe for use by two threads at once. Adding a key or tensor twice, or a
// tensor whose bytes do not fit its type and dimensions, is a mistake of the program (CHECK).
// Follows the GGUF specification (ggml/docs/gguf.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "gguf/value.h"
#include "octavo/result.h"

namespace octavo {
class ThreadPool;
}

namespace octavo::gguf {

// Makes the blocks of a tensor from number `first_block` on, as many as fill `out`. Called from
// several threads at once, once for each block, in any order.
using BlockMaker = std::function<void(uint64_t first_block, std::span<std::byte> out)>;

class Writer {
 public:
  // `alignment_bytes` is a power of two, at least 8; other than 32 it is written as
  // general.alignment.
  explicit Writer(uint32_t alignment_bytes = 32);

  void add(std::string_view key, const Value& value);
  void add_u32(std::string_view key, uint32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::vector<std::string> values);
  void add_i32s(std::string_view key, const std::vector<int32_t>& values);
  void add_f32s(std::string_view key, const std::vector<float>& values);

  // `dims` as in TensorInfo: the length of a row first, 1 to 4 of them.
  void add_tensor(std::string_view name, DType type, const std::vector<uint64_t>& dims,
                  std::vector<std::byte> bytes);
  void add_tensor(std::string_view name, DType type, const std::vector<uint64_t>& dims,
                  BlockMaker make_blocks);

  // The whole file.
  std::vector<std::byte> bytes() const;
  // Writes a new file, with `threads` threads; one that exists is left alone, an error. After an
  // error there is no file. `should_stop` is asked between pieces, from any of the threads; a write
  // that it stops has failed.
  Result<void> write(
      const std::string& path, int threads = 1,
      const std::function<bool()>& should_stop = [] { return false; }) const;

 private:
  struct TensorData {
    BlockMaker make_blocks;
    uint64_t block_bytes = 0;
    uint64_t bytes = 0;
    uint64_t offset = 0;  // in the data section
  };

  std::string header() const;  // all before the first tensor's data, with the padding
  uint64_t padding_bytes(uint64_t position) const;
  // Both return 0 or an error number.
  int write_file(int file, int threads, const std::function<bool()>& should_stop) const;
  int write_data(int file, uint64_t position, const TensorData& data, ThreadPool& pool,
                 const std::function<bool()>& should_stop) const;

  uint32_t alignment_bytes_;
  uint64_t key_count_ = 0;
  std::string keys_;     // the encoded metadata
  std::string tensors_;  // the encoded tensor descriptions
  std::vector<TensorData> data_;
  uint64_t data_bytes_ = 0;                   // of the data section so far, with the padding
  std::set<std::string, std::less<>> names_;  // of keys and tensors, marked apart
};

}  // namespace octavo::gguf
