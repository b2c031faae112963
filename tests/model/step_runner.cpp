#include "model/step_runner.h"

#include "backend/create_backend.h"
#include "base/check.h"
#include "gguf/builtin_model.h"

namespace octavo {
namespace {

constexpr int32_t kBlockSize = 16;
constexpr int32_t kBlocks = 509;  // a prime: block i * 7 modulo it visits every block once

template <class T>
T must(Result<T> result) {
  OCTAVO_CHECK(result.ok(), "{}", result.error().message);
  return std::move(result).value();
}

}  // namespace

StepRunner::StepRunner(const std::string& path, const Options& options)
    : file_(must(gguf::open_model(path))),
      backend_(must(create_backend({.device = options.device,
                                    .instruction_set = options.instruction_set,
                                    .threads = options.threads,
                                    .deterministic = options.deterministic}))),
      model_(must(Model::load(file_, *backend_))) {
  KvShape shape = model_->shape().kv;
  shape.block_size = kBlockSize;
  shape.type = options.kv_type;
  store_ = must(backend_->create_kv_store(shape, kBlocks));
  OCTAVO_CHECK(store_->commit(0, kBlocks).ok());
}

std::vector<std::vector<float>> StepRunner::run(const std::vector<Piece>& pieces) {
  const size_t groups = model_->shape().kv.groups.size();
  std::vector<int32_t> tokens, positions, q_starts = {0}, kv_lengths, output_rows;
  struct Group {
    std::vector<int32_t> slots, starts = {0};
    std::vector<BlockId> blocks;
  };
  std::vector<Group> arrays(groups);
  for (const Piece& piece : pieces) {
    const auto index = static_cast<size_t>(piece.sequence);
    if (sequences_.size() <= index) sequences_.resize(index + 1);
    Sequence& sequence = sequences_[index];
    sequence.tables.resize(groups);
    for (const int32_t token : piece.tokens) {
      const int32_t position = sequence.length++;
      output_rows.push_back(static_cast<int32_t>(tokens.size()));
      tokens.push_back(token);
      positions.push_back(position);
      for (size_t g = 0; g < groups; ++g) {
        std::vector<BlockId>& table = sequence.tables[g];
        if (position % kBlockSize == 0) {
          OCTAVO_CHECK(next_block_ < kBlocks, "the test uses more than {} blocks", kBlocks);
          table.push_back(next_block_++ * 7 % kBlocks);
        }
        arrays[g].slots.push_back(table.back() * kBlockSize + position % kBlockSize);
      }
    }
    q_starts.push_back(static_cast<int32_t>(tokens.size()));
    kv_lengths.push_back(sequence.length);
    for (size_t g = 0; g < groups; ++g) {
      arrays[g].blocks.insert(arrays[g].blocks.end(), sequence.tables[g].begin(),
                              sequence.tables[g].end());
      arrays[g].starts.push_back(static_cast<int32_t>(arrays[g].blocks.size()));
    }
  }
  Batch batch;
  batch.tokens = tokens;
  batch.positions = positions;
  batch.q_starts = q_starts;
  batch.kv_lengths = kv_lengths;
  batch.output_rows = output_rows;
  for (const Group& group : arrays) {
    batch.groups.push_back({group.slots, group.starts, group.blocks});
  }
  backend_->begin_step(batch);
  const Tensor logits = model_->forward(batch, *store_).logits;
  std::vector<std::vector<float>> rows;
  std::vector<float> values(static_cast<size_t>(logits.elements()));
  backend_->read(logits, values);
  for (int64_t r = 0; r < logits.rows; ++r) {
    const float* row = values.data() + r * logits.columns;
    rows.emplace_back(row, row + logits.columns);
  }
  return rows;
}

}  // namespace octavo
