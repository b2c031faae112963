#include "cli/inspect.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "backend/kv_store.h"
#include "base/error.h"
#include "cli/kv_estimate.h"

namespace octavo::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownElements = 8;
constexpr size_t kShownText = 60;
constexpr uint64_t kShortSequenceTokens = 1024;

struct TypeTotal {
  uint64_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
};

// What fits in the memory beside the weights.
struct Capacity {
  uint64_t longest_sequence_tokens = 0;
  uint64_t full_sequences = 0;   // of the model's context length
  uint64_t short_sequences = 0;  // of kShortSequenceTokens, or the context length if that is less
};

struct KvOfType {
  DType type = DType::f16;
  KvEstimate kv;
  Capacity capacity;  // if memory was given
};

// All that is reported beside what the file itself holds; the two forms print the same facts.
struct Summary {
  uint64_t parameters = 0;
  uint64_t weight_bytes = 0;
  std::map<DType, TypeTotal> types;
  // For each type that the model's keys and values can have; or why nothing is known of them.
  Result<std::vector<KvOfType>> kv;
  uint64_t memory_bytes = 0;  // 0: nothing is said about what fits
  uint64_t kv_bytes = 0;      // of them, beside the weights
};

Capacity capacity_of(const KvEstimate& kv, uint64_t kv_bytes) {
  Capacity capacity;
  capacity.longest_sequence_tokens = kv.longest_sequence(kv_bytes);
  const auto sequences = [&](uint64_t tokens) {
    const uint64_t bytes = kv.sequence_bytes(tokens);
    return bytes == 0 ? 0 : kv_bytes / bytes;
  };
  capacity.full_sequences = sequences(kv.context_length);
  capacity.short_sequences = sequences(std::min(kShortSequenceTokens, kv.context_length));
  return capacity;
}

Result<std::vector<KvOfType>> kv_of_types(const gguf::Metadata& metadata, uint64_t kv_bytes) {
  std::vector<KvOfType> of_types;
  for (const DType type : kKvTypes) {
    const Result<KvEstimate> kv = estimate_kv(metadata, type);
    // Heads of this model's size cannot have some types.
    if (!kv && kv.error().kind == ErrorKind::unsupported) continue;
    if (!kv) return kv.error();
    of_types.push_back({type, *kv, capacity_of(*kv, kv_bytes)});
  }
  return of_types;
}

Summary summarize(const gguf::File& file, uint64_t memory_bytes) {
  Summary summary{.kv = std::vector<KvOfType>{}, .memory_bytes = memory_bytes};
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    summary.parameters += tensor.elements();
    summary.weight_bytes += tensor.bytes;
    TypeTotal& total = summary.types[tensor.type];
    total.tensors += 1;
    total.elements += tensor.elements();
    total.bytes += tensor.bytes;
  }
  if (memory_bytes > summary.weight_bytes) summary.kv_bytes = memory_bytes - summary.weight_bytes;
  summary.kv = kv_of_types(file.metadata(), summary.kv_bytes);
  return summary;
}

// Calls `show` with each of the array's first elements, in the C++ type that holds it.
template <class Show>
void for_first_elements(const gguf::Array& array, Show show) {
  const auto each = [&show](const auto& values) {
    for (size_t i = 0; i < std::min(values.size(), kShownElements); ++i) show(values[i]);
  };
  if (array.element_type == gguf::ValueType::boolean) {
    for (size_t i = 0; i < std::min(array.size(), kShownElements); ++i) {
      show(array.unsigned_values[i] == 1);
    }
  } else {
    each(array.unsigned_values);
  }
  each(array.signed_values);
  each(array.float_values);
  each(array.strings);
}

std::string human_bytes(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double amount = static_cast<double>(bytes) / 1024.0;
  size_t unit = 0;
  // The last value before 1024 that would be shown as 1024.0 goes to the next unit.
  while (amount >= 1023.95 && unit + 1 < std::size(kUnits)) {
    amount /= 1024.0;
    unit += 1;
  }
  return fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string human_count(uint64_t count) {
  constexpr std::pair<double, std::string_view> kUnits[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}};
  for (const auto& [size, unit] : kUnits) {
    if (static_cast<double>(count) >= size) {
      return fmt::format("{:.1f} {}", static_cast<double>(count) / size, unit);
    }
  }
  return fmt::format("{}", count);
}

std::string text_of(const std::string& text) {
  return fmt::format("\"{}\"", printable(text, kShownText));
}

template <class Number>
std::string text_of(Number number) {
  return fmt::format("{}", number);
}

// A number that a float holds exactly is shown with the digits that a float needs: 0.1 as 0.1.
std::string text_of(double number) {
  if (std::abs(number) <= std::numeric_limits<float>::max()) {
    const auto single = static_cast<float>(number);
    if (static_cast<double>(single) == number) return fmt::format("{}", single);
  }
  return fmt::format("{}", number);
}

std::string text_of(const gguf::Value& value) {
  if (const auto* scalar = std::get_if<gguf::Scalar>(&value.data)) {
    return std::visit([](const auto& held) { return text_of(held); }, *scalar);
  }
  const auto& array = std::get<gguf::Array>(value.data);
  std::string text;
  for_first_elements(array, [&text](const auto& element) {
    text += text.empty() ? "" : ", ";
    text += text_of(element);
  });
  if (array.size() > kShownElements) text += ", ...";
  return fmt::format("[{}] ({} x {})", text, array.size(), name(array.element_type));
}

std::string shape_of(const gguf::TensorInfo& tensor) {
  std::string shape;
  for (uint32_t d = 0; d < tensor.dim_count; ++d) {
    shape += fmt::format("{}{}", d == 0 ? "" : " x ", tensor.dims[d]);
  }
  return shape;
}

// Lines of cells, each column as wide as its widest cell.
std::string table(const std::vector<std::vector<std::string>>& lines) {
  std::vector<size_t> widths;
  for (const auto& cells : lines) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  std::string out;
  for (const auto& cells : lines) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      line += i + 1 < cells.size() ? fmt::format("  {:<{}}", cells[i], widths[i]) : "  " + cells[i];
    }
    out += line + "\n";
  }
  return out;
}

std::string kv_text(const Summary& summary) {
  if (!summary.kv.ok()) {
    return fmt::format("\nKV cache: not known ({})\n", summary.kv.error().message);
  }
  const KvEstimate& any = summary.kv->front().kv;
  std::vector<std::vector<std::string>> lines = {{"type", "one token"}};
  if (any.window > 0) lines[0].push_back(fmt::format("beyond {} tokens", any.window));
  lines[0].push_back(fmt::format("{} tokens", any.context_length));
  for (const auto& [type, kv, capacity] : *summary.kv) {
    std::vector<std::string>& cells = lines.emplace_back();
    cells = {kv_type_name(type),
             human_bytes(kv.global_bytes_per_token + kv.windowed_bytes_per_token)};
    if (kv.window > 0) cells.push_back(human_bytes(kv.global_bytes_per_token));
    cells.push_back(human_bytes(kv.sequence_bytes(kv.context_length)));
  }
  std::string out = "\nKV cache, by type (--kv-dtype)\n" + table(lines);
  if (summary.memory_bytes == 0) return out;

  out += fmt::format("\nin {} of memory ({} of weights, {} for the KV cache)\n",
                     human_bytes(summary.memory_bytes), human_bytes(summary.weight_bytes),
                     human_bytes(summary.kv_bytes));
  const bool has_short = any.context_length > kShortSequenceTokens;
  lines = {{"type", "longest sequence", fmt::format("sequences of {}", any.context_length)}};
  if (has_short) lines[0].push_back(fmt::format("sequences of {}", kShortSequenceTokens));
  for (const auto& [type, kv, capacity] : *summary.kv) {
    std::vector<std::string>& cells = lines.emplace_back();
    cells = {kv_type_name(type), fmt::format("{} tokens", capacity.longest_sequence_tokens),
             fmt::format("{}", capacity.full_sequences)};
    if (has_short) cells.push_back(fmt::format("{}", capacity.short_sequences));
  }
  return out + table(lines);
}

std::string as_text(const gguf::File& file, const Summary& summary) {
  const std::string parts =
      file.part_count() == 1 ? "" : fmt::format(", {} parts", file.part_count());
  std::string out = fmt::format("{}: GGUF version {}, {}{}\n", file.metadata().source(),
                                file.version(), human_bytes(file.file_bytes()), parts);
  out += fmt::format("{} parameters, {} of weights\n", human_count(summary.parameters),
                     human_bytes(summary.weight_bytes));

  std::vector<std::vector<std::string>> lines;
  for (const std::string& key : file.metadata().keys()) {
    const gguf::Value& value = *file.metadata().find(key);
    lines.push_back({printable(key), std::string(name(value.type)), text_of(value)});
  }
  out += fmt::format("\nmetadata ({} keys)\n", lines.size()) + table(lines);

  lines.clear();
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    lines.push_back({printable(tensor.name), std::string(info(tensor.type).name), shape_of(tensor),
                     fmt::format("{} bytes", tensor.bytes),
                     file.part_count() == 1
                         ? fmt::format("at {}", tensor.offset)
                         : fmt::format("at {} of part {}", tensor.offset, tensor.part + 1)});
  }
  out += fmt::format("\ntensors ({})\n", lines.size()) + table(lines);

  lines.clear();
  for (const auto& [type, total] : summary.types) {
    lines.push_back({std::string(info(type).name), fmt::format("{} tensors", total.tensors),
                     fmt::format("{} parameters", human_count(total.elements)),
                     human_bytes(total.bytes)});
  }
  if (!lines.empty()) out += "\ntypes\n" + table(lines);
  return out + kv_text(summary);
}

Json json_of(const gguf::Value& value) {
  if (const auto* scalar = std::get_if<gguf::Scalar>(&value.data)) {
    return std::visit([](const auto& held) { return Json(held); }, *scalar);
  }
  const auto& array = std::get<gguf::Array>(value.data);
  Json first = Json::array();
  for_first_elements(array, [&first](const auto& element) { first.push_back(element); });
  return {{"element_type", name(array.element_type)}, {"length", array.size()}, {"first", first}};
}

Json json_of(const gguf::TensorInfo& tensor) {
  Json shape = Json::array();
  for (uint32_t d = 0; d < tensor.dim_count; ++d) shape.push_back(tensor.dims[d]);
  return {{"name", tensor.name}, {"type", info(tensor.type).name},
          {"shape", shape},      {"bytes", tensor.bytes},
          {"part", tensor.part}, {"offset", tensor.offset}};
}

Json kv_json(const Summary& summary) {
  if (!summary.kv.ok()) return {{"error", summary.kv.error().message}};
  const KvEstimate& any = summary.kv->front().kv;
  Json out = {{"context_length", any.context_length}, {"window", any.window}};
  if (summary.memory_bytes > 0) {
    out["memory_bytes"] = summary.memory_bytes;
    out["kv_bytes"] = summary.kv_bytes;
    out["short_sequence_tokens"] = std::min(kShortSequenceTokens, any.context_length);
  }
  for (const auto& [type, kv, capacity] : *summary.kv) {
    Json entry = {{"type", kv_type_name(type)},
                  {"global_bytes_per_token", kv.global_bytes_per_token},
                  {"windowed_bytes_per_token", kv.windowed_bytes_per_token},
                  {"full_context_bytes", kv.sequence_bytes(kv.context_length)}};
    if (summary.memory_bytes > 0) {
      entry["longest_sequence_tokens"] = capacity.longest_sequence_tokens;
      entry["full_sequences"] = capacity.full_sequences;
      entry["short_sequences"] = capacity.short_sequences;
    }
    out["types"].push_back(entry);
  }
  return out;
}

std::string as_json(const gguf::File& file, const Summary& summary) {
  Json metadata = Json::object();
  for (const std::string& key : file.metadata().keys()) {
    metadata[key] = json_of(*file.metadata().find(key));
  }
  Json tensors = Json::array();
  for (const gguf::TensorInfo& tensor : file.tensors()) tensors.push_back(json_of(tensor));
  Json types = Json::array();
  for (const auto& [type, total] : summary.types) {
    types.push_back({{"type", info(type).name},
                     {"tensors", total.tensors},
                     {"parameters", total.elements},
                     {"bytes", total.bytes}});
  }
  const Json out = {{"path", file.path()},
                    {"version", file.version()},
                    {"file_bytes", file.file_bytes()},
                    {"parts", file.part_count()},
                    {"parameters", summary.parameters},
                    {"weight_bytes", summary.weight_bytes},
                    {"metadata", metadata},
                    {"tensors", tensors},
                    {"types", types},
                    {"kv_cache", kv_json(summary)}};
  // Strings of the file need not be UTF-8, which JSON is; what is not becomes U+FFFD.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string inspect(const gguf::File& file, const InspectOptions& options) {
  const Summary summary = summarize(file, options.memory_bytes);
  return options.json ? as_json(file, summary) : as_text(file, summary);
}

}  // namespace octavo::cli
