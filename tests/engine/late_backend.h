// A backend on the CPU that computes as late as it may: operations wait until a result is wanted,
// while blocks that come in from host memory are there at once. So it shows on any machine what an
// engine does wrong that runs ahead of a device.
//
// Its store knows which blocks have memory; what is used without stops the process. How many may
// have some can change at any time, as where other programs use the device too.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/check.h"
#include "base/error.h"

namespace octavo {

using BlockLimit = std::atomic<int64_t>;

class LateStore final : public KvStore {
 public:
  // `is_idle`: whether no operation waits. `limit`: of the blocks that have memory; null: none.
  LateStore(std::unique_ptr<KvStore> store, std::function<bool()> is_idle,
            std::shared_ptr<const BlockLimit> limit)
      : store_(std::move(store)),
        is_idle_(std::move(is_idle)),
        limit_(std::move(limit)),
        committed_(static_cast<size_t>(store_->block_count()), false) {}

  const KvShape& shape() const override { return store_->shape(); }
  int64_t block_count() const override { return store_->block_count(); }
  Result<void> commit(int64_t first_block, int64_t count) override {
    if (limit_ != nullptr && std::ranges::count(committed_, true) + count > *limit_) {
      return resource_error("no memory for {} more blocks", count);
    }
    OCTAVO_TRY(store_->commit(first_block, count));
    mark(first_block, count, true);
    return {};
  }
  void release(int64_t first_block, int64_t count) override {
    OCTAVO_CHECK(is_idle_(), "memory is given back while a step is in flight");
    store_->release(first_block, count);
    mark(first_block, count, false);
  }

  KvStore& store() const { return *store_; }
  void check(BlockId block) const {
    OCTAVO_CHECK(committed_.at(static_cast<size_t>(block)), "block {} has no memory", block);
  }

 private:
  void mark(int64_t first, int64_t count, bool value) {
    for (int64_t block = first; block < first + count; ++block) {
      committed_.at(static_cast<size_t>(block)) = value;
    }
  }

  std::unique_ptr<KvStore> store_;
  std::function<bool()> is_idle_;
  std::shared_ptr<const BlockLimit> limit_;
  std::vector<bool> committed_;
};

class LateBackend final : public Backend {
 public:
  explicit LateBackend(std::unique_ptr<Backend> backend,
                       std::shared_ptr<const BlockLimit> limit = nullptr)
      : Backend(backend->description() + ", late", /*is_asynchronous=*/true),
        backend_(std::move(backend)),
        limit_(std::move(limit)) {}

  bool is_idle() const { return waiting_.empty(); }

  Result<std::unique_ptr<Weight>> upload(const WeightSource& source, WeightUse use,
                                         Split split) override {
    return backend_->upload(source, use, split);
  }
  Result<std::unique_ptr<KvStore>> create_kv_store(const KvShape& shape, int64_t blocks) override {
    OCTAVO_ASSIGN(std::unique_ptr<KvStore> store, backend_->create_kv_store(shape, blocks));
    return std::unique_ptr<KvStore>(std::make_unique<LateStore>(
        std::move(store), [this] { return is_idle(); }, limit_));
  }
  Tensor scratch(int64_t rows, int64_t columns) override {
    constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
    step_->scratch.emplace_back(static_cast<size_t>(rows * columns), kNothing);
    return {step_->scratch.back().data(), rows, columns};
  }
  void read(Tensor x, std::span<float> out) override {
    compute_all();
    backend_->read(x, out);
  }

  void begin_step(const Batch& batch) override {
    step_ = std::make_shared<Step>();
    step_->batch = batch;
    later([=, this](const Batch& of_step) { backend_->begin_step(of_step); });
  }
  void copy_blocks(KvStore& store, std::span<const BlockCopy> copies) override {
    for (const BlockCopy& copy : copies) {
      own(store).check(copy.from);
      own(store).check(copy.to);
    }
    later([this, &store, all = std::vector(copies.begin(), copies.end())](const Batch&) {
      backend_->copy_blocks(own(store).store(), all);
    });
  }
  void swap_blocks(KvStore& store, std::byte* host, std::span<const BlockSwap> swaps,
                   SwapDirection direction) override {
    for (const BlockSwap& swap : swaps) own(store).check(swap.block);
    if (direction == SwapDirection::out) compute_all();
    backend_->swap_blocks(own(store).store(), host, swaps, direction);
  }

  void embed(Tensor out, const Weight& table, float scale, const Batch&) override {
    later([=, this, &table](const Batch& of_step) { backend_->embed(out, table, scale, of_step); });
  }
  void norm(Tensor out, Tensor x, const Weight& weight, float epsilon) override {
    later([=, this, &weight](const Batch&) { backend_->norm(out, x, weight, epsilon); });
  }
  void linear(Tensor x, std::span<const Projection> projections, const Batch&) override {
    later([this, x, all = std::vector(projections.begin(), projections.end())](
              const Batch& of_step) { backend_->linear(x, all, of_step); });
  }
  void add(Tensor x, Tensor y) override {
    later([=, this](const Batch&) { backend_->add(x, y); });
  }
  void gate(Tensor gate, Tensor up, Activation activation) override {
    later([=, this](const Batch&) { backend_->gate(gate, up, activation); });
  }
  void rope_and_store(Tensor q, Tensor k, Tensor v, int32_t layer, const RopeTable& rope,
                      const Batch& batch, KvStore& store) override {
    for (const GroupTables& group : batch.groups) {
      for (const int32_t slot : group.slots) own(store).check(slot / store.shape().block_size);
      for (const BlockId block : group.blocks) {
        if (block != kNoBlock) own(store).check(block);
      }
    }
    later([=, this, &rope, &store](const Batch& of_step) {
      backend_->rope_and_store(q, k, v, layer, rope, of_step, own(store).store());
    });
  }
  void attention(Tensor out, Tensor q, int32_t layer, const AttentionParams& params, const Batch&,
                 const KvStore& store) override {
    later([=, this, &store](const Batch& of_step) {
      const auto& late = static_cast<const LateStore&>(store);
      backend_->attention(out, q, layer, params, of_step, late.store());
    });
  }
  Tensor output_rows(Tensor x, const Batch& batch) override {
    const Tensor out = scratch(static_cast<int64_t>(batch.output_rows.size()), x.columns);
    later([=, this](const Batch& of_step) {
      const Tensor rows = backend_->output_rows(x, of_step);
      std::copy_n(rows.data, rows.elements(), out.data);
    });
    return out;
  }
  void soft_cap(Tensor x, float cap) override {
    later([=, this](const Batch&) { backend_->soft_cap(x, cap); });
  }
  void all_reduce(Tensor x) override {
    later([=, this](const Batch&) { backend_->all_reduce(x); });
  }

  void sample(Tensor logits, std::span<const SampleRow> rows,
              std::span<const uint32_t> allowed) override {
    OCTAVO_CHECK(++uncollected_ <= 2, "a draw that nobody collects");
    auto draw = std::make_shared<Draw>();
    for (SampleRow row : rows) {
      row.params = &draw->params.emplace_back(*row.params);
      row.tokens = draw->tokens.emplace_back(row.tokens.begin(), row.tokens.end());
      row.banned = draw->tokens.emplace_back(row.banned.begin(), row.banned.end());
      draw->rows.push_back(row);
    }
    draw->allowed.assign(allowed.begin(), allowed.end());
    later([=, this](const Batch&) {
      backend_->sample(logits, draw->rows, draw->allowed);
      ++drawn_;
    });
  }
  void collect(std::span<SampledToken> out) override {
    while (drawn_ == 0) compute_next();
    --drawn_;
    --uncollected_;
    backend_->collect(out);
  }

 private:
  struct Step {
    Batch batch;
    std::list<std::vector<float>> scratch;
  };
  // What the rows of a draw point to.
  struct Draw {
    std::vector<SampleRow> rows;
    std::deque<SamplingParams> params;
    std::deque<std::vector<int32_t>> tokens;
    std::vector<uint32_t> allowed;
  };

  static LateStore& own(KvStore& store) { return static_cast<LateStore&>(store); }
  void later(std::function<void(const Batch&)> operation) {
    waiting_.push_back(
        [step = step_, operation = std::move(operation)] { operation(step->batch); });
  }
  void compute_next() {
    OCTAVO_CHECK(!waiting_.empty(), "nothing was drawn");
    waiting_.front()();
    waiting_.pop_front();
  }
  void compute_all() {
    while (!waiting_.empty()) compute_next();
  }

  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const BlockLimit> limit_;
  std::shared_ptr<Step> step_ = std::make_shared<Step>();
  std::deque<std::function<void()>> waiting_;
  int drawn_ = 0;
  int uncollected_ = 0;
};

}  // namespace octavo
