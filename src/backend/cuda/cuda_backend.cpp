#include "backend/cuda/cuda_backend.h"

#include <algorithm>

#include "backend/checks.h"
#include "backend/cuda/attention.h"
#include "backend/cuda/check_cuda.h"
#include "backend/cuda/device_code.h"
#include "backend/cuda/fuse_products.h"
#include "backend/cuda/rope_kernels.h"
#include "backend/cuda/row_kernels.h"
#include "base/error.h"

namespace octavo::cuda {
namespace {

// Compute capability that the kernels are written for: bf16 on tensor cores, asynchronous copies.
constexpr int kLeastMajor = 8;
// Steps of up to this many rows are launched as graphs: their kernels are short.
constexpr int32_t kGraphRows = 256;
// Places of a step's arrays; those of KV group g are kGroupArrays + 2 * g and on, plans follow.
constexpr size_t kTokensArray = 0;
constexpr size_t kPositionsArray = 1;
constexpr size_t kOutputArray = 2;
constexpr size_t kSampleArrays = 3;
constexpr size_t kGroupArrays = kSampleArrays + DeviceSampler::kArrays;

const CudaWeight& own(const Weight& weight) {
  return static_cast<const CudaWeight&>(weight);
}
CudaKvStore& own(KvStore& store) {
  return static_cast<CudaKvStore&>(store);
}
const CudaKvStore& own(const KvStore& store) {
  return static_cast<const CudaKvStore&>(store);
}

}  // namespace

Result<std::unique_ptr<CudaBackend>> CudaBackend::create(const CudaOptions& options) {
  const int count = device_count();
  if (count == 0) {
    return unsupported("device: this machine has no CUDA device, or no driver for it");
  }
  if (options.device < 0 || options.device >= count) {
    return unsupported("device: cuda:{} is not one of the {} CUDA devices of this machine",
                       options.device, count);
  }
  cudaDeviceProp properties = {};
  OCTAVO_CUDA(cudaGetDeviceProperties(&properties, options.device));
  if (properties.major < kLeastMajor) {
    return unsupported("device: cuda:{} ({}) has compute capability {}.{}, at least {}.0 is needed",
                       options.device, properties.name, properties.major, properties.minor,
                       kLeastMajor);
  }
  OCTAVO_CUDA(cudaSetDevice(options.device));
  cudaStream_t stream = nullptr;
  OCTAVO_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  OCTAVO_ASSIGN(DeviceScratch scratch, DeviceScratch::create());
  OCTAVO_ASSIGN(DeviceScratch temporary, DeviceScratch::create());
  std::unique_ptr<CudaBackend> backend(
      new CudaBackend(fmt::format("cuda:{} ({}, compute capability {}.{}{})", options.device,
                                  properties.name, properties.major, properties.minor,
                                  options.deterministic ? ", deterministic" : ""),
                      options, stream, std::move(scratch), std::move(temporary)));
  OCTAVO_ASSIGN(backend->staging_, Staging::create(stream));
  OCTAVO_ASSIGN(backend->cublas_, Cublas::load());
  OCTAVO_ASSIGN(backend->sampler_, DeviceSampler::create(stream, kSampleArrays));
  OCTAVO_ASSIGN(backend->workspace_,
                DeviceBuffer::create(kCublasWorkspaceBytes, "workspace of products"));
  const size_t counter_bytes = kProductCounters * sizeof(uint32_t);
  OCTAVO_ASSIGN(backend->counters_, DeviceBuffer::create(counter_bytes, "counters of products"));
  OCTAVO_CUDA(cudaMemsetAsync(backend->counters_.data(), 0, counter_bytes, stream));
  return backend;
}

CudaBackend::CudaBackend(std::string description, const CudaOptions& options, cudaStream_t stream,
                         DeviceScratch scratch, DeviceScratch temporary)
    : Backend(std::move(description), /*is_asynchronous=*/true),
      deterministic_(options.deterministic),
      wide_tiles_(device_code().warpgroup_products),
      stream_(stream),
      pool_(options.threads),
      scratch_(std::move(scratch)),
      temporary_(std::move(temporary)),
      arrays_(stream),
      moves_(stream),
      tape_(stream) {}

CudaBackend::~CudaBackend() {
  wait();
  // The objects that use the stream only hold it; it has no work left.
  OCTAVO_CUDA(cudaStreamDestroy(stream_));
}

void CudaBackend::run() {
  tape_.run(small_step_);
}

void CudaBackend::wait() {
  OCTAVO_CUDA(cudaStreamSynchronize(stream_));
}

Result<std::unique_ptr<Weight>> CudaBackend::upload(const WeightSource& source, WeightUse use,
                                                    Split split) {
  if (split != Split::none) {
    return unsupported("tensor '{}': split over devices", printable(source.name));
  }
  OCTAVO_ASSIGN(std::unique_ptr<CudaWeight> weight,
                CudaWeight::create(source, use, pool_, *staging_));
  return std::unique_ptr<Weight>(std::move(weight));
}

Result<std::unique_ptr<KvStore>> CudaBackend::create_kv_store(const KvShape& shape,
                                                              int64_t block_count) {
  OCTAVO_ASSIGN(std::unique_ptr<CudaKvStore> store, CudaKvStore::create(shape, block_count));
  return std::unique_ptr<KvStore>(std::move(store));
}

Tensor CudaBackend::scratch(int64_t rows, int64_t columns) {
  OCTAVO_CHECK(rows >= 0 && columns >= 0, "[{}, {}]", rows, columns);
  return {scratch_.take<float>(static_cast<size_t>(rows * columns)), rows, columns};
}

void CudaBackend::read(Tensor x, std::span<float> out) {
  OCTAVO_CHECK(out.size() == static_cast<size_t>(x.elements()), "{} values of {}", out.size(),
               x.elements());
  run();
  OCTAVO_CUDA(
      cudaMemcpyAsync(out.data(), x.data, out.size_bytes(), cudaMemcpyDeviceToHost, stream_));
  wait();
}

void CudaBackend::begin_step(const Batch& batch) {
  check_batch(batch);
  run();  // of a step whose results nobody wanted
  // The step before may still be computed. What it uses is used again in the order of the stream.
  scratch_.reset();
  arrays_.begin_step();
  angles_.clear();
  planned_.clear();
  small_step_ = batch.token_count() <= kGraphRows;

  for (const int32_t token : batch.tokens) {
    OCTAVO_CHECK(token >= 0 || ~token < sampled_rows_,
                 "row {} of the {} that the previous step sampled", ~token, sampled_rows_);
  }
  sampled_rows_ = 0;
  step_.tokens = arrays_.send(kTokensArray, batch.tokens);
  step_.positions = arrays_.send(kPositionsArray, batch.positions);
  output_rows_ = arrays_.send(kOutputArray, batch.output_rows);
  groups_.assign(batch.groups.size(), Group{});
  for (size_t i = 0; i < batch.groups.size(); ++i) {
    const GroupTables& group = batch.groups[i];
    const size_t at = kGroupArrays + 2 * i;
    groups_[i].tables = {arrays_.send(at, group.slots), arrays_.send(at + 1, group.blocks)};
  }
}

void CudaBackend::copy_blocks(KvStore& store, std::span<const BlockCopy> copies) {
  run();
  moves_.copy(own(store), copies);
}

void CudaBackend::swap_blocks(KvStore& store, std::byte* host, std::span<const BlockSwap> swaps,
                              SwapDirection direction) {
  run();
  if (direction == SwapDirection::out) {
    moves_.swap_out(own(store), host, swaps);
  } else {
    moves_.swap_in(own(store), host, swaps);
  }
}

void CudaBackend::embed(Tensor out, const Weight& table, float scale, const Batch& batch) {
  OCTAVO_CHECK(out.rows == batch.token_count() && out.columns == table.columns());
  for (const int32_t token : batch.tokens) {
    OCTAVO_CHECK(token < table.rows(), "token {} of {}", token, table.rows());
  }
  if (out.rows == 0) return;
  EmbedArgs args = {};
  args.out = out.data;
  args.tokens = step_.tokens;
  args.sampled = sampler_->tokens();
  if (is_quantized(table.type())) {
    args.table = own(table).quantized();
  } else {
    args.dense = own(table).dense();
  }
  args.rows = out.rows;
  args.columns = out.columns;
  args.scale = scale;
  args.type = static_cast<int32_t>(table.type());
  tape_.add(launch_embed, args);
}

void CudaBackend::norm(Tensor out, Tensor x, const Weight& weight, float epsilon) {
  check_same_shape(out, x);
  OCTAVO_CHECK(weight.rows() == 1 && weight.columns() == x.columns);
  if (x.rows == 0) return;
  tape_.add(launch_norm, NormArgs{out.data,
                                  x.data,
                                  nullptr,
                                  own(weight).vector(),
                                  {},
                                  nullptr,
                                  nullptr,
                                  x.rows,
                                  static_cast<int32_t>(x.columns),
                                  epsilon});
}

void CudaBackend::add_norm(Tensor out, Tensor x, Tensor y, const Weight& weight, float epsilon) {
  check_same_shape(out, x);
  check_same_shape(y, x);
  OCTAVO_CHECK(weight.rows() == 1 && weight.columns() == x.columns);
  if (x.rows == 0) return;
  tape_.add(launch_norm, NormArgs{out.data,
                                  x.data,
                                  y.data,
                                  own(weight).vector(),
                                  {},
                                  nullptr,
                                  nullptr,
                                  x.rows,
                                  static_cast<int32_t>(x.columns),
                                  epsilon});
}

void CudaBackend::linear(Tensor x, std::span<const Projection> projections,
                         const Batch& /*batch*/) {
  run_projections(x, projections,
                  {tape_, temporary_, *cublas_, reinterpret_cast<uint32_t*>(counters_.data()),
                   workspace_.data(), deterministic_, wide_tiles_});
}

void CudaBackend::add(Tensor x, Tensor y) {
  check_same_shape(x, y);
  if (x.rows > 0) tape_.add(launch_add, AddArgs{x.data, y.data, x.elements()});
}

void CudaBackend::gate(Tensor gate, Tensor up, Activation activation) {
  check_same_shape(gate, up);
  if (gate.rows == 0 || fuse_gate(tape_, gate, up, activation)) return;
  tape_.add(
      launch_gate,
      GateArgs{
          gate.data, up.data, {}, gate.elements(), activation == Activation::gelu_tanh ? 1 : 0});
}

const CudaBackend::Angles& CudaBackend::angles(const RopeTable& rope, const Batch& batch) {
  for (const Angles& known : angles_) {
    if (known.table == &rope) return known;
  }
  const size_t pairs = rope.frequencies.size();
  OCTAVO_CHECK(pairs <= kMaxRopePairs, "{} pairs of dimensions to rotate", pairs);
  const size_t count = batch.tokens.size() * pairs;
  const Angles made{&rope, scratch_.take<float>(count), scratch_.take<float>(count)};
  RopeAnglesArgs args = {};
  args.cosines = made.cosines;
  args.sines = made.sines;
  args.positions = step_.positions;
  args.tokens = batch.token_count();
  args.pairs = static_cast<int32_t>(pairs);
  args.magnitude = rope.magnitude;
  std::copy(rope.frequencies.begin(), rope.frequencies.end(), args.frequencies);
  tape_.add(launch_rope_angles, args);
  angles_.push_back(made);
  return angles_.back();
}

void CudaBackend::check_slots(const CudaKvStore& store, int32_t group, const Batch& batch) {
  Group& state = groups_[static_cast<size_t>(group)];
  if (state.checked) return;
  for (const int32_t slot : batch.groups[static_cast<size_t>(group)].slots) {
    OCTAVO_CHECK(slot >= 0 && slot / store.shape().block_size < store.block_count(), "slot {}",
                 slot);
  }
  state.checked = true;
}

void CudaBackend::rope_and_store(Tensor q, Tensor k, Tensor v, int32_t layer, const RopeTable& rope,
                                 const Batch& batch, KvStore& store) {
  CudaKvStore& blocks = own(store);
  const KvView view = blocks.view(layer);
  const int32_t group = blocks.group(layer);
  OCTAVO_CHECK(q.columns % view.head_dim == 0 && k.columns == v.columns &&
               k.columns == int64_t{view.kv_heads} * view.head_dim);
  if (q.rows == 0) return;
  check_slots(blocks, group, batch);
  const Angles& turned = angles(rope, batch);
  RopeStoreArgs args = {};
  args.q = q.data;
  args.k = k.data;
  args.v = v.data;
  args.cosines = turned.cosines;
  args.sines = turned.sines;
  args.slots = groups_[static_cast<size_t>(group)].tables.slots;
  args.keys = view.memory + view.key_offset;
  args.values = view.memory + view.value_offset;
  args.block_bytes = view.block_bytes;
  args.tokens = q.rows;
  args.heads = static_cast<int32_t>(q.columns / view.head_dim);
  args.kv_heads = view.kv_heads;
  args.head_dim = view.head_dim;
  args.pairs = static_cast<int32_t>(rope.frequencies.size());
  args.block_size = view.block_size;
  args.interleaved = rope.interleaved ? 1 : 0;
  args.type = static_cast<int64_t>(view.type);
  OCTAVO_CHECK(2 * args.pairs <= args.head_dim, "{} pairs in a head of {}", args.pairs,
               args.head_dim);
  if (!fuse_rope(tape_, args)) tape_.add(launch_rope_store, args);
}

const CudaBackend::PlannedAttention& CudaBackend::planned(int32_t group, int32_t heads_per_kv_head,
                                                          const Batch& batch,
                                                          const KvShape& shape) {
  for (const PlannedAttention& known : planned_) {
    if (known.group == group && known.heads_per_kv_head == heads_per_kv_head) return known;
  }
  const AttentionPlan plan =
      plan_attention(batch, {.kv_heads = shape.kv_heads,
                             .heads_per_kv_head = heads_per_kv_head,
                             .head_dim = shape.head_dim,
                             .window = shape.groups[static_cast<size_t>(group)].window,
                             .group = group});
  const size_t array = kGroupArrays + 2 * groups_.size() + planned_.size();
  planned_.push_back({group, heads_per_kv_head, arrays_.send(array, plan.words),
                      plan.block_capacity, plan.merge_capacity, plan.has_tiles, plan.merges_all,
                      scratch_.take<float>(static_cast<size_t>(plan.partial_floats))});
  return planned_.back();
}

void CudaBackend::attention(Tensor out, Tensor q, int32_t layer, const AttentionParams& params,
                            const Batch& batch, const KvStore& store) {
  check_same_shape(out, q);
  const CudaKvStore& blocks = own(store);
  const KvShape& shape = blocks.shape();
  if (q.rows == 0) return;
  const int64_t heads = q.columns / shape.head_dim;
  OCTAVO_CHECK(heads * shape.head_dim == q.columns && heads % shape.kv_heads == 0);
  const int32_t group = blocks.group(layer);
  const auto heads_per_kv_head = static_cast<int32_t>(heads / shape.kv_heads);
  const PlannedAttention& plan = planned(group, heads_per_kv_head, batch, shape);
  AttentionArgs args = {};
  args.out = out.data;
  args.q = q.data;
  args.rows = q.rows;
  args.partials = plan.partials;
  args.plan = plan.words;
  args.step = step_;
  args.tables = groups_[static_cast<size_t>(group)].tables;
  args.kv = blocks.view(layer);
  args.scale = params.scale;
  args.soft_cap = params.soft_cap;
  args.window = shape.groups[static_cast<size_t>(group)].window;
  args.heads_per_kv_head = heads_per_kv_head;
  args.block_capacity = plan.block_capacity;
  args.merge_capacity = plan.merge_capacity;
  args.has_tiles = plan.has_tiles ? 1 : 0;
  args.merges_all = plan.merges_all ? 1 : 0;
  tape_.add(launch_attention, args);
}

Tensor CudaBackend::output_rows(Tensor x, const Batch& batch) {
  const Tensor out = scratch(static_cast<int64_t>(batch.output_rows.size()), x.columns);
  if (out.rows > 0) {
    tape_.add(launch_gather, GatherArgs{out.data, x.data, output_rows_, out.rows, out.columns});
  }
  return out;
}

void CudaBackend::soft_cap(Tensor x, float cap) {
  if (x.rows == 0) return;
  tape_.add(launch_soft_cap, SoftCapArgs{x.data, x.elements(), static_cast<double>(cap)});
}

void CudaBackend::all_reduce(Tensor /*x*/) {
  // One device holds everything.
}

void CudaBackend::sample(Tensor logits, std::span<const SampleRow> rows,
                         std::span<const uint32_t> allowed) {
  sampler_->launch(logits, rows, allowed, {arrays_, scratch_, tape_, small_step_});
  sampled_rows_ = static_cast<int32_t>(rows.size());
}

void CudaBackend::collect(std::span<SampledToken> out) {
  sampler_->collect(out);
}

}  // namespace octavo::cuda
