#include "model/weights.h"

#include "base/error.h"
#include "model/decoder.h"

namespace octavo {
namespace {

// Far above any known model; keeps products of sizes within 64 bits and memory within reason.
constexpr uint32_t kMaxDim = 1U << 20;
constexpr uint32_t kMaxLayers = 4096;
constexpr uint32_t kMaxContext = 1U << 28;

// A required size: at least 1 and at most `limit`.
Result<int32_t> size_key(const gguf::Metadata& metadata, const std::string& key, uint32_t limit) {
  OCTAVO_ASSIGN(const uint32_t value, metadata.u32(key));
  if (value == 0 || value > limit) {
    return invalid_input("{}: key '{}': {} is not between 1 and {}", metadata.source(), key, value,
                         limit);
  }
  return static_cast<int32_t>(value);
}

std::string shape_text(int64_t columns, int64_t rows) {
  return fmt::format("[{}, {}]", columns, rows);
}

}  // namespace

Result<Hyperparameters> read_hyperparameters(const gguf::File& file) {
  const gguf::Metadata& metadata = file.metadata();
  Hyperparameters hp;
  OCTAVO_ASSIGN(hp.architecture, metadata.string("general.architecture"));
  const std::string prefix = hp.architecture + ".";
  OCTAVO_ASSIGN(hp.context_length, size_key(metadata, prefix + "context_length", kMaxContext));
  OCTAVO_ASSIGN(hp.dim, size_key(metadata, prefix + "embedding_length", kMaxDim));
  OCTAVO_ASSIGN(hp.layers, size_key(metadata, prefix + "block_count", kMaxLayers));
  OCTAVO_ASSIGN(hp.hidden, size_key(metadata, prefix + "feed_forward_length", kMaxDim));
  OCTAVO_ASSIGN(hp.heads, size_key(metadata, prefix + "attention.head_count", kMaxDim));
  hp.kv_heads = hp.heads;
  if (const std::string key = prefix + "attention.head_count_kv"; metadata.has(key)) {
    OCTAVO_ASSIGN(hp.kv_heads, size_key(metadata, key, kMaxDim));
  }
  hp.head_dim = hp.dim / hp.heads;
  if (const std::string key = prefix + "attention.key_length"; metadata.has(key)) {
    OCTAVO_ASSIGN(hp.head_dim, size_key(metadata, key, kMaxDim));
  }
  OCTAVO_ASSIGN(const uint32_t value_length, metadata.u32_or(prefix + "attention.value_length",
                                                             static_cast<uint32_t>(hp.head_dim)));
  OCTAVO_ASSIGN(hp.norm_epsilon, metadata.f32(prefix + "attention.layer_norm_rms_epsilon"));

  if (hp.heads % hp.kv_heads != 0) {
    return invalid_input("{}: {} attention heads cannot share {} KV heads evenly", file.path(),
                         hp.heads, hp.kv_heads);
  }
  if (hp.head_dim == 0 || hp.head_dim % 2 != 0 ||
      static_cast<int64_t>(hp.head_dim) * hp.heads > kMaxDim) {
    return invalid_input("{}: {} heads of {} dimensions are not possible", file.path(), hp.heads,
                         hp.head_dim);
  }
  if (static_cast<int32_t>(value_length) != hp.head_dim) {
    return unsupported("{}: key '{}attention.value_length': {} differs from the key length {}",
                       file.path(), prefix, value_length, hp.head_dim);
  }
  const gguf::TensorInfo* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return invalid_input("{}: tensor 'token_embd.weight' is missing", file.path());
  }
  if (embedding->dims[1] == 0 || embedding->dims[1] > (1U << 24)) {
    return invalid_input("{}: tensor 'token_embd.weight': {} rows are not a vocabulary",
                         file.path(), embedding->dims[1]);
  }
  hp.vocabulary = static_cast<int32_t>(embedding->dims[1]);
  return hp;
}

Result<int32_t> read_window(const gguf::Metadata& metadata, const std::string& key) {
  OCTAVO_ASSIGN(const uint32_t window, metadata.u32_or(key, 0));
  if (window > kMaxContext) {
    return invalid_input("{}: key '{}': {} is not between 0 and {}", metadata.source(), key, window,
                         kMaxContext);
  }
  return static_cast<int32_t>(window);
}

ModelShape make_shape(const Hyperparameters& hp, const std::vector<int32_t>& windows) {
  ModelShape shape;
  shape.architecture = hp.architecture;
  shape.vocabulary = hp.vocabulary;
  shape.dim = hp.dim;
  shape.context_length = hp.context_length;
  shape.token_bytes = Workspace::token_bytes(hp);
  shape.kv.kv_heads = hp.kv_heads;
  shape.kv.head_dim = hp.head_dim;
  shape.kv.groups = group_layers(windows);
  for (const KvGroup& group : shape.kv.groups) {
    shape.kv.layers_per_block =
        std::max(shape.kv.layers_per_block, static_cast<int32_t>(group.layers.size()));
  }
  return shape;
}

WeightPtr WeightLoader::load(const std::string& name, int64_t rows, int64_t columns,
                             WeightUse use) {
  if (failed_) return nullptr;
  const auto fail = [this](Error error) {
    failed_ = true;
    error_ = std::move(error);
    return nullptr;
  };
  const gguf::TensorInfo* tensor = file_.find_tensor(name);
  if (tensor == nullptr)
    return fail(invalid_input("{}: tensor '{}' is missing", file_.path(), name));
  if (tensor->dims[0] != static_cast<uint64_t>(columns) ||
      tensor->rows() != static_cast<uint64_t>(rows)) {
    return fail(invalid_input("{}: tensor '{}' has shape [{}, {}], the metadata ask for {}",
                              file_.path(), name, tensor->dims[0], tensor->rows(),
                              shape_text(columns, rows)));
  }
  WeightSource source{name, tensor->type, rows, columns, tensor->data};
  Result<WeightPtr> weight = backend_.upload(source, use);
  if (!weight) {
    return fail({weight.error().kind, fmt::format("{}: {}", file_.path(), weight.error().message)});
  }
  // A repacked weight does not need its pages of the file any more; a table is read from there.
  if (use != WeightUse::table) file_.release(*tensor);
  return std::move(weight).value();
}

WeightPtr WeightLoader::matrix(const std::string& name, int64_t out, int64_t in) {
  return load(name, out, in, WeightUse::matrix);
}

WeightPtr WeightLoader::vector(const std::string& name, int64_t size) {
  return load(name, 1, size, WeightUse::vector);
}

WeightPtr WeightLoader::optional_vector(const std::string& name, int64_t size) {
  return has(name) ? vector(name, size) : nullptr;
}

WeightPtr WeightLoader::table(const std::string& name, int64_t entries, int64_t columns) {
  return load(name, entries, columns, WeightUse::table);
}

}  // namespace octavo
