#include "engine/loaded_model.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <type_traits>

#include "backend/create_backend.h"
#include "base/error.h"
#include "engine/device_room.h"
#include "gguf/builtin_model.h"

namespace octavo {
namespace {

// When no limit is given, the cache may hold this many contexts of full length.
constexpr int64_t kDefaultContexts = 8;
// Memory is committed and given back in extents of about this size.
constexpr int64_t kExtentBytes = int64_t{4} << 20;
// The host tier, where it is only wanted as the way to the disk.
constexpr int64_t kStagingBytes = int64_t{256} << 20;
constexpr int64_t kDefaultDiskBytes = int64_t{8} << 30;
// Operations of a matrix product that a machine does while it copies a byte of memory, roughly.
constexpr double kOperationsPerByte = 20.0;

// Blocks of all groups that one sequence of `length` tokens fills when no window drops any.
int64_t blocks_of_context(const KvShape& shape, int64_t length) {
  const int64_t blocks = (length + shape.block_size - 1) / shape.block_size;
  return blocks * static_cast<int64_t>(shape.groups.size());
}

Result<void> make_kv(const EngineConfig& config, LoadedModel& loaded) {
  KvShape shape = loaded.model->shape().kv;
  shape.block_size = static_cast<int32_t>(config.block_size);
  OCTAVO_ASSIGN(shape.type, kv_type(config.kv_dtype));
  OCTAVO_TRY(check_kv_type(shape));
  const int64_t block_bytes = shape.block_bytes();

  int64_t bytes = config.kv_memory_bytes;
  if (bytes == 0) {
    const int64_t wanted =
        kDefaultContexts * blocks_of_context(shape, loaded.info.context_length) * block_bytes;
    const int64_t step =
        step_bytes(loaded.model->shape(), config.batch_tokens, config.max_sequences);
    bytes = std::min(wanted, default_kv_limit(config.device, step));
  }
  const int64_t blocks = std::min(bytes / block_bytes,
                                  int64_t{std::numeric_limits<int32_t>::max()} / shape.block_size);
  OCTAVO_TRY(check_kv_room(shape, bytes, config.device, config.kv_memory_bytes == 0));
  Result<std::unique_ptr<KvStore>> store = loaded.backend->create_kv_store(shape, blocks);
  if (!store && store.error().kind == ErrorKind::resource) {
    return Error{ErrorKind::resource, "kv-memory: " + store.error().message};
  }
  OCTAVO_ASSIGN(loaded.kv_store, std::move(store));
  loaded.kv.block_size = shape.block_size;
  loaded.kv.groups.clear();
  for (const KvGroup& group : shape.groups) loaded.kv.groups.push_back({group.window});
  loaded.kv.max_blocks = static_cast<int32_t>(blocks);
  loaded.kv.block_bytes = block_bytes;
  loaded.kv.extent_blocks = static_cast<int32_t>(
      std::clamp<int64_t>(kExtentBytes / block_bytes, 1, std::max<int64_t>(1, blocks)));
  loaded.kv.prefix_cache = config.prefix_cache;
  return {};
}

// The tiers below the pool: the host's memory, and the file on disk, which is reached through it.
Result<void> make_tiers(const EngineConfig& config, LoadedModel& loaded) {
  const int64_t block_bytes = loaded.kv_store->shape().block_bytes();
  const bool has_disk = !config.kv_disk.empty();
  if (has_disk && !config.prefix_cache) {
    return invalid_input("kv-disk: it keeps cached prefixes, and prefix-cache is off");
  }
  int64_t bytes = config.kv_host_memory_bytes;
  if (bytes == 0 && has_disk) bytes = std::max(kStagingBytes, 16 * block_bytes);
  const auto groups = static_cast<int64_t>(loaded.kv.groups.size());
  if (bytes > 0 && bytes < groups * block_bytes) {
    return invalid_input(
        "kv-host-memory: {} bytes are less than one block of each KV group ({} x {} bytes)", bytes,
        groups, block_bytes);
  }
  const int64_t slots =
      std::min(bytes / block_bytes, int64_t{std::numeric_limits<int32_t>::max()} / 2);
  OCTAVO_ASSIGN(HostMemory host, HostMemory::reserve(slots, block_bytes));
  loaded.host_memory = std::make_unique<HostMemory>(std::move(host));
  loaded.kv.host_blocks = static_cast<int32_t>(slots);
  loaded.kv.report_spills = has_disk;
  if (!has_disk) return {};
  const int64_t limit = config.kv_disk_bytes > 0 ? config.kv_disk_bytes : kDefaultDiskBytes;
  Result<DiskStore> store = DiskStore::open(config.kv_disk, block_bytes, limit);
  if (!store) return Error{store.error().kind, "kv-disk: " + store.error().message};
  loaded.disk_store.emplace(std::move(store).value());
  return {};
}

// In bytes of copied memory. A token takes two operations for each weight; its attention is left
// out, which would only make computing it again dearer.
SwapCosts estimate_swap_costs(const LoadedModel& loaded) {
  double weights = 0;
  for (const gguf::TensorInfo& tensor : loaded.file.tensors()) {
    if (tensor.dim_count > 1) weights += static_cast<double>(tensor.elements());
  }
  return {.token = 2 * weights / kOperationsPerByte,
          .block = static_cast<double>(loaded.kv_store->shape().block_bytes())};
}

// The numbers are llama.cpp's. 0 says that it pools nothing: a model that generates.
Result<Pooling> read_pooling(const gguf::Metadata& metadata, const std::string& architecture) {
  const std::string key = architecture + ".pooling_type";
  OCTAVO_ASSIGN(const uint32_t type, metadata.u32_or(key, 0));
  constexpr std::array kPoolings = {Pooling::last, Pooling::mean, Pooling::cls, Pooling::last,
                                    Pooling::rank};
  if (type < kPoolings.size()) return kPoolings[type];
  return invalid_input("{}: key '{}': {} is no kind of pooling", metadata.source(), key, type);
}

Result<void> describe(const EngineConfig& config, LoadedModel& loaded) {
  const gguf::Metadata& metadata = loaded.file.metadata();
  const ModelShape& shape = loaded.model->shape();
  ModelInfo& info = loaded.info;
  info.path = config.model_path;
  const std::string file_name = std::filesystem::path(config.model_path).stem().string();
  OCTAVO_ASSIGN(info.name, metadata.string_or("general.name", file_name));
  info.architecture = shape.architecture;
  info.backend = loaded.backend->description();
  info.vocabulary = shape.vocabulary;
  info.adds_bos = loaded.tokenizer->special().add_bos;
  info.bos = loaded.tokenizer->bos().value_or(-1);
  info.embedding_size = shape.dim;
  OCTAVO_ASSIGN(info.pooling, read_pooling(metadata, shape.architecture));
  info.context_length = shape.context_length;
  if (config.context_length > shape.context_length) {
    return invalid_input("context: {} tokens are more than the model's {}", config.context_length,
                         shape.context_length);
  }
  if (config.context_length > 0) info.context_length = static_cast<int32_t>(config.context_length);
  return {};
}

// `source`: the text of the model's own.
Result<text::ChatTemplate> read_template(const gguf::Metadata& metadata, std::string& source) {
  if (!metadata.has("tokenizer.chat_template")) return text::default_template();
  OCTAVO_ASSIGN(source, metadata.string("tokenizer.chat_template"));
  Result<text::ChatTemplate> parsed = text::ChatTemplate::parse(source);
  if (!parsed) {
    return Error{parsed.error().kind, fmt::format("{}: key 'tokenizer.chat_template': {}",
                                                  metadata.source(), parsed.error().message)};
  }
  return parsed;
}

}  // namespace

Result<void> check_config(const EngineConfig& config) {
  Result<void> status;
  visit_config(config, [&status](const ConfigField& field, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, int64_t>) {
      if (status.ok() && (value < field.minimum || value > field.maximum)) {
        status = invalid_input("{}: {} is not between {} and {}", field.name, value, field.minimum,
                               field.maximum);
      }
    }
  });
  OCTAVO_TRY(status);
  OCTAVO_TRY(kv_type(config.kv_dtype));
  return {};
}

Result<LoadedModel> load_model(const EngineConfig& config) {
  OCTAVO_TRY(check_config(config));
  OCTAVO_ASSIGN(gguf::File file, gguf::open_model(config.model_path));
  OCTAVO_TRY(Model::check_architecture(file));
  OCTAVO_ASSIGN(auto tokenizer, text::Tokenizer::create(file.metadata()));
  std::string template_source;
  OCTAVO_ASSIGN(text::ChatTemplate chat_template, read_template(file.metadata(), template_source));
  OCTAVO_ASSIGN(auto backend, create_backend({.device = config.device,
                                              .instruction_set = config.instruction_set,
                                              .threads = static_cast<int>(config.threads),
                                              .deterministic = config.deterministic}));
  if (const std::optional<DeviceMemory> memory = device_memory(config.device)) {
    OCTAVO_TRY(check_model_room(file, config.device, *memory));
  }
  OCTAVO_ASSIGN(auto model, Model::load(file, *backend));
  if (tokenizer->vocabulary_size() != model->shape().vocabulary) {
    return invalid_input("{}: the tokenizer has {} tokens, the embedding {} rows",
                         config.model_path, tokenizer->vocabulary_size(),
                         model->shape().vocabulary);
  }
  LoadedModel loaded{std::move(file),
                     std::move(tokenizer),
                     std::move(chat_template),
                     std::move(backend),
                     std::move(model),
                     nullptr,
                     nullptr,
                     {},
                     {},
                     {},
                     false,
                     {}};
  loaded.runs_ahead = loaded.backend->is_asynchronous();
  loaded.info.chat_template = std::move(template_source);
  OCTAVO_TRY(describe(config, loaded));
  OCTAVO_TRY(make_kv(config, loaded));
  OCTAVO_TRY(make_tiers(config, loaded));
  loaded.swap_costs = estimate_swap_costs(loaded);
  return loaded;
}

}  // namespace octavo
