// One file mapped read-only into memory.
//
// Owns the mapping and ends it when destroyed. Immutable, so safe to share between threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "octavo/result.h"

namespace octavo::gguf {

class Mapping {
 public:
  static Result<std::unique_ptr<Mapping>> open(const std::string& path);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  bool contains(const std::byte* address) const;
  // Lets the system drop the whole pages inside these bytes; reading them again loads them again.
  void release(const std::byte* bytes, size_t count) const;

 private:
  Mapping(std::byte* data, size_t size) : data_(data), size_(size) {}

  std::byte* data_;
  size_t size_;
};

}  // namespace octavo::gguf
