#include "gguf/file.h"

#include <utility>

#include "base/error.h"
#include "gguf/mapping.h"
#include "gguf/parser.h"

namespace octavo::gguf {
namespace {

// Which file of a split model this is, as its metadata say.
struct SplitKeys {
  uint32_t number = 0;        // from 0
  uint32_t count = 1;         // 1: not split
  uint32_t tensor_count = 0;  // of all parts; 0: not said
};

Result<SplitKeys> split_keys(const Metadata& metadata) {
  SplitKeys keys;
  OCTAVO_ASSIGN(keys.count, metadata.u32_or("split.count", 1));
  OCTAVO_ASSIGN(keys.number, metadata.u32_or("split.no", 0));
  OCTAVO_ASSIGN(keys.tensor_count, metadata.u32_or("split.tensors.count", 0));
  if (keys.count == 0) keys.count = 1;
  constexpr uint32_t kMaxParts = 99999;  // what the five digits of the file name can say
  if (keys.count > kMaxParts) {
    return invalid_input("{}: key 'split.count': {}, more than {}", metadata.source(), keys.count,
                         kMaxParts);
  }
  if (keys.number >= keys.count) {
    return invalid_input("{}: key 'split.no': {}, in a model of {} parts counted from 0",
                         metadata.source(), keys.number, keys.count);
  }
  return keys;
}

std::string part_suffix(uint32_t number, uint32_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

struct OpenedPart {
  std::unique_ptr<Mapping> mapping;
  Part part;
  SplitKeys split;
};

Result<OpenedPart> open_part(const std::string& path) {
  OpenedPart opened;
  OCTAVO_ASSIGN(opened.mapping, Mapping::open(path));
  OCTAVO_ASSIGN(opened.part, parse_part(path, opened.mapping->data(), opened.mapping->size()));
  OCTAVO_ASSIGN(opened.split, split_keys(opened.part.metadata));
  return opened;
}

}  // namespace

File::File() = default;
File::File(File&&) noexcept = default;
File& File::operator=(File&&) noexcept = default;
File::~File() = default;

Result<File> File::open(const std::string& path) {
  File file;
  file.path_ = path;
  OCTAVO_ASSIGN(OpenedPart given, open_part(path));
  const SplitKeys split = given.split;
  if (split.count == 1) {
    const size_t size = given.mapping->size();
    OCTAVO_TRY(file.add_part(std::move(given.part), size, std::move(given.mapping)));
    return file;
  }

  const std::string suffix = part_suffix(split.number, split.count);
  if (!path.ends_with(suffix)) {
    return invalid_input("{}: part {} of {} of a split model must have a name that ends in '{}'",
                         given.part.metadata.source(), split.number + 1, split.count, suffix);
  }
  // Any part leads to all of them; the given one is opened again in its turn.
  const std::string prefix = path.substr(0, path.size() - suffix.size());
  for (uint32_t number = 0; number < split.count; ++number) {
    OCTAVO_ASSIGN(OpenedPart next, open_part(prefix + part_suffix(number, split.count)));
    if (next.split.number != number || next.split.count != split.count) {
      return invalid_input("{}: its metadata say that it is part {} of {}",
                           next.part.metadata.source(), next.split.number + 1, next.split.count);
    }
    const size_t size = next.mapping->size();
    OCTAVO_TRY(file.add_part(std::move(next.part), size, std::move(next.mapping)));
  }
  if (split.tensor_count != 0 && split.tensor_count != file.tensors_.size()) {
    return invalid_input("{}: key 'split.tensors.count': {}, but the parts hold {} tensors",
                         given.part.metadata.source(), split.tensor_count, file.tensors_.size());
  }
  return file;
}

Result<File> File::parse(std::string name, const std::byte* bytes, size_t size) {
  File file;
  file.path_ = std::move(name);
  OCTAVO_ASSIGN(Part part, parse_part(file.path_, bytes, size));
  OCTAVO_ASSIGN(const SplitKeys split, split_keys(part.metadata));
  if (split.count != 1) {
    return unsupported("{}: key 'split.count': a split model is read from files only",
                       part.metadata.source());
  }
  OCTAVO_TRY(file.add_part(std::move(part), size, nullptr));
  return file;
}

Result<void> File::add_part(Part part, size_t size, std::unique_ptr<Mapping> mapping) {
  for (TensorInfo& tensor : part.tensors) {
    tensor.part = part_count_;
    const bool is_new = tensor_index_.try_emplace(tensor.name, tensors_.size()).second;
    if (!is_new) {
      return invalid_input("{}: tensor '{}': there twice", part.metadata.source(),
                           printable(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
  }
  if (part_count_ == 0) {
    version_ = part.version;
    metadata_ = std::move(part.metadata);
  }
  part_count_ += 1;
  file_bytes_ += size;
  if (mapping != nullptr) mappings_.push_back(std::move(mapping));
  return {};
}

const TensorInfo* File::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

void File::release(const TensorInfo& tensor) const {
  for (const auto& mapping : mappings_) {
    if (mapping->contains(tensor.data)) mapping->release(tensor.data, tensor.bytes);
  }
}

}  // namespace octavo::gguf
