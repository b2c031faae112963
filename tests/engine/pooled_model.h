// A golden model that pools embeddings in another way than its file says.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine_run.h"
#include "gguf/file.h"
#include "gguf/writer.h"
#include "scratch_folder.h"

namespace octavo {

// llama.cpp's numbers.
constexpr uint32_t kNone = 0;
constexpr uint32_t kMean = 1;
constexpr uint32_t kCls = 2;
constexpr uint32_t kLast = 3;
constexpr uint32_t kRank = 4;

// A copy with another pooling type in its metadata, in a file that lives as long as this.
class PooledModel {
 public:
  PooledModel(const std::string& name, uint32_t pooling_type)
      : path_(folder_.path(name + ".gguf")) {
    const auto file = gguf::File::open(golden_model(name));
    EXPECT_TRUE(file.ok());
    gguf::Writer writer;
    for (const std::string& key : file->metadata().keys()) {
      writer.add(key, *file->metadata().find(key));
    }
    writer.add_u32(*file->metadata().string("general.architecture") + ".pooling_type",
                   pooling_type);
    for (const gguf::TensorInfo& tensor : file->tensors()) {
      writer.add_tensor(tensor.name, tensor.type,
                        {tensor.dims.begin(), tensor.dims.begin() + tensor.dim_count},
                        std::vector<std::byte>(tensor.data, tensor.data + tensor.bytes));
    }
    EXPECT_TRUE(writer.write(path_).ok());
  }

  EngineConfig config() const {
    EngineConfig config;
    config.model_path = path_;
    config.threads = 2;
    return config;
  }

 private:
  ScratchFolder folder_;
  const std::string path_;
};

}  // namespace octavo
