// A GGUF model on disk, memory-mapped and checked: its metadata and where its tensors lie.
//
// A File owns the mappings; the tensor data pointers live as long as it does. Everything is checked
// before it is handed out (offsets, sizes, alignment, overlaps, counts), so whoever holds a File
// may read every byte of every tensor. Immutable after open, so safe to share between threads.
// The file itself must not shrink while it is open: the system ends a process that reads past the
// end of a mapped file.
// Follows the GGUF specification (ggml/docs/gguf.md), versions 2 and 3, little-endian. The limits
// on what a file may hold are in parser.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "gguf/metadata.h"
#include "octavo/result.h"

namespace octavo::gguf {

struct TensorInfo {
  std::string name;
  DType type = DType::f32;
  // As in the file: dims[0] is the length of a row, the innermost dimension; unused ones are 1.
  // A matrix that maps x[in] to y[out] has dims {in, out, 1, 1}.
  std::array<uint64_t, 4> dims = {1, 1, 1, 1};
  uint32_t dim_count = 1;
  const std::byte* data = nullptr;  // `bytes` long; as aligned as the mapping (a page) and `offset`
  size_t bytes = 0;
  uint32_t part = 0;    // which file of a split model, from 0
  uint64_t offset = 0;  // where the data starts in that file; a multiple of its alignment

  uint64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  uint64_t rows() const { return dims[1] * dims[2] * dims[3]; }
};

class Mapping;  // one memory-mapped file (mapping.h)
struct Part;    // one parsed file (parser.h)

class File {
 public:
  // Opens `path`; when it is one part of a split model (name-00001-of-0000N.gguf, split.count in
  // the metadata) all parts are opened. Errors are one line: "path: key or tensor: what is wrong".
  static Result<File> open(const std::string& path);
  // The same checks over bytes in memory (tests, fuzzing, models built into a program). The bytes
  // must outlive the File and start at an address that suits the tensors' element types. `name`
  // stands in for the path in errors. A part of a split model is refused.
  static Result<File> parse(std::string name, const std::byte* bytes, size_t size);

  File(File&&) noexcept;
  File& operator=(File&&) noexcept;
  ~File();

  const std::string& path() const { return path_; }  // as it was given
  uint32_t version() const { return version_; }
  uint64_t file_bytes() const { return file_bytes_; }                  // of all parts
  uint32_t part_count() const { return part_count_; }                  // 1: not split
  const Metadata& metadata() const { return metadata_; }               // of the first part
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // of all parts
  const TensorInfo* find_tensor(std::string_view name) const;
  // Tells the system that these bytes will not be read again soon (a weight was repacked
  // elsewhere).
  void release(const TensorInfo& tensor) const;

 private:
  File();

  // Parts come in order; `mapping` is null for bytes that the caller keeps.
  Result<void> add_part(Part part, size_t size, std::unique_ptr<Mapping> mapping);

  std::string path_;
  uint32_t version_ = 0;
  uint32_t part_count_ = 0;
  uint64_t file_bytes_ = 0;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
  std::vector<std::unique_ptr<Mapping>> mappings_;
};

}  // namespace octavo::gguf
