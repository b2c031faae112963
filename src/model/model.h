// A language model: weights on a backend and the forward pass over one step's batch.
//
// A Model owns its Weights and borrows the Backend, which must outlive it. Immutable after load.
// Thread safety: forward is called by the engine thread only, as the backend demands.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "gguf/file.h"
#include "octavo/result.h"

namespace octavo {

// What the engine must know of a model.
struct ModelShape {
  std::string architecture;  // as in general.architecture
  int32_t vocabulary = 0;
  int32_t dim = 0;             // length of a hidden state
  int32_t context_length = 0;  // positions the model was made for
  int64_t token_bytes = 0;     // of a step's scratch tensors but its output, for each of its tokens
  KvShape kv;                  // block_size and type still open: the engine sets them
};

// What a step gives, in the backend's scratch memory: the two parts of Batch::output_rows.
struct StepOutput {
  Tensor logits;         // [rows, vocabulary]
  Tensor hidden_states;  // [rows, dim] of the last layer, normed
};

class Model {
 public:
  // The architecture is one of those supported; an error that names it and them otherwise.
  static Result<void> check_architecture(const gguf::File& file);

  // Reads `file`, checks that every tensor is there and has the shape the metadata says, and
  // uploads the weights. Errors name the file and the key or tensor; an architecture that is not
  // supported is named together with those that are.
  static Result<std::unique_ptr<Model>> load(const gguf::File& file, Backend& backend);

  virtual ~Model() = default;
  const ModelShape& shape() const { return shape_; }

  // One step: stores the batch's keys and values and returns what its rows are to give. begin_step
  // has been called for `batch`.
  virtual StepOutput forward(const Batch& batch, KvStore& store) const = 0;

 protected:
  Model(Backend& backend, ModelShape shape) : backend_(backend), shape_(std::move(shape)) {}

  Backend& backend_;
  ModelShape shape_;
};

}  // namespace octavo
