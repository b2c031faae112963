// What all families read from a GGUF file: hyperparameters, and tensors by name with their shape
// checked, uploaded to the backend.
//
// Key and tensor names follow the GGUF specification (ggml/docs/gguf.md) and llama.cpp's converter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "gguf/file.h"
#include "model/model.h"
#include "octavo/result.h"

namespace octavo {

using WeightPtr = std::unique_ptr<Weight>;

struct Hyperparameters {
  std::string architecture;
  int32_t vocabulary = 0;
  int32_t context_length = 0;
  int32_t dim = 0;
  int32_t layers = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  int32_t hidden = 0;  // of the feed-forward layers
  float norm_epsilon = 0.0F;
};

// The hyperparameters of `file`, checked to be possible (heads divide, sizes below absurd).
Result<Hyperparameters> read_hyperparameters(const gguf::File& file);

// How many positions back a layer sees, itself included, by `key`; 0 (all) when the key is missing.
Result<int32_t> read_window(const gguf::Metadata& metadata, const std::string& key);

// The model's shape, with a KV group for every window in `windows` [layers] (0: all positions).
ModelShape make_shape(const Hyperparameters& hp, const std::vector<int32_t>& windows);

// The rope table of the whole model: base, rotated dimensions and scaling rule from the metadata.
Result<RopeTable> read_rope(const gguf::File& file, const Hyperparameters& hp, bool interleaved);

// The same without any scaling, for a base given by number.
RopeTable plain_rope(int32_t rotated_dims, float base, bool interleaved);

// Uploads tensors; keeps the first error, so that a family's list of tensors reads as a list.
// Every getter returns null after an error; check status() before using any of them.
class WeightLoader {
 public:
  WeightLoader(const gguf::File& file, Backend& backend) : file_(file), backend_(backend) {}

  WeightPtr matrix(const std::string& name, int64_t out, int64_t in);
  WeightPtr vector(const std::string& name, int64_t size);
  WeightPtr optional_vector(const std::string& name, int64_t size);  // null when absent
  WeightPtr table(const std::string& name, int64_t entries, int64_t columns);
  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  Result<void> status() const { return failed_ ? Result<void>(error_) : Result<void>(); }

 private:
  WeightPtr load(const std::string& name, int64_t rows, int64_t columns, WeightUse use);

  const gguf::File& file_;
  Backend& backend_;
  bool failed_ = false;
  Error error_;
};

}  // namespace octavo
