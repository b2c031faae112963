// Runs a model without an engine: sequences with hand-made block tables, one step at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "gguf/file.h"
#include "model/model.h"

namespace octavo {

class StepRunner {
 public:
  struct Options {
    DType kv_type = DType::f32;
    int threads = 2;
    std::string instruction_set;
    std::string device = "cpu";
    bool deterministic = false;  // of a GPU
  };

  // `path` as gguf::open_model takes it. Stops the test program when the model cannot be loaded.
  StepRunner(const std::string& path, const Options& options);

  // Tokens of one sequence to compute in a step, behind those computed before.
  struct Piece {
    int32_t sequence = 0;
    std::vector<int32_t> tokens;
  };
  // One step; the logits of every row, [rows][vocabulary], in the order of the pieces.
  std::vector<std::vector<float>> run(const std::vector<Piece>& pieces);

  const gguf::File& file() const { return file_; }
  const Backend& backend() const { return *backend_; }
  int32_t vocabulary() const { return model_->shape().vocabulary; }

 private:
  struct Sequence {
    int32_t length = 0;
    std::vector<std::vector<BlockId>> tables;  // [groups]
  };

  gguf::File file_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvStore> store_;
  std::vector<Sequence> sequences_;
  int32_t next_block_ = 0;  // handed out in a scattered order, so that tables are not contiguous
};

}  // namespace octavo
