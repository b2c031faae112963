#include "gguf/parser.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace octavo::gguf {
namespace {

static_assert(std::endian::native == std::endian::little,
              "GGUF's little-endian numbers are read as they lie");

constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
constexpr size_t kSmallestKeyBytes = 8 + 1 + 4 + 1;
constexpr size_t kSmallestTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

// The names of ggml's tensor types that this program does not read, for the error.
struct ForeignType {
  uint32_t gguf_id;
  std::string_view name;
};
constexpr ForeignType kForeignTypes[] = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {21, "IQ3_S"}, {22, "IQ2_S"}, {24, "I8"},      {25, "I16"},    {26, "I32"},     {27, "I64"},
    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {40, "NVFP4"},
};

std::string supported_types() {
  std::string list;
  for (const DTypeInfo& entry : kDTypes) {
    if (!list.empty()) list += ", ";
    list += entry.name;
  }
  return list;
}

std::string type_name(uint32_t gguf_id) {
  for (const ForeignType& type : kForeignTypes) {
    if (type.gguf_id == gguf_id) return std::string(type.name);
  }
  return fmt::format("number {}", gguf_id);
}

class Parser {
 public:
  Parser(const std::string& name, const std::byte* bytes, size_t size)
      : name_(printable(name, 4096)), bytes_(bytes), size_(size) {
    part_.metadata = Metadata(name_);
  }

  Result<Part> parse() {
    OCTAVO_TRY(read_header());
    OCTAVO_TRY(read_metadata());
    OCTAVO_TRY(read_tensor_infos());
    OCTAVO_TRY(place_tensors());
    OCTAVO_TRY(check_overlaps());
    return std::move(part_);
  }

 private:
  size_t left() const { return size_ - position_; }

  Error truncated(std::string_view where, uint64_t needed) const {
    return invalid_input("{}: {}: cut short: {} bytes are needed at offset {}, {} are left", name_,
                         where, needed, position_, left());
  }

  template <class T>
  Result<T> read_number(std::string_view where) {
    if (left() < sizeof(T)) return truncated(where, sizeof(T));
    T number = {};
    std::memcpy(&number, bytes_ + position_, sizeof(T));
    position_ += sizeof(T);
    return number;
  }

  // A view of the file's bytes.
  Result<std::string_view> read_string(std::string_view where) {
    OCTAVO_ASSIGN(const uint64_t length, read_number<uint64_t>(where));
    if (length > left()) return truncated(where, length);
    const std::string_view text(reinterpret_cast<const char*>(bytes_ + position_), length);
    position_ += length;
    return text;
  }

  // The name of a key or tensor.
  Result<std::string> read_name(std::string_view where, uint64_t limit) {
    OCTAVO_ASSIGN(const std::string_view text, read_string(where));
    if (text.empty()) return invalid_input("{}: {}: its name is empty", name_, where);
    if (text.size() > limit) {
      return invalid_input("{}: {}: its name '{}' is {} bytes long, more than {}", name_, where,
                           printable(text, 40), text.size(), limit);
    }
    return std::string(text);
  }

  // The number of `things`, which take at least `smallest` bytes each.
  Result<uint64_t> read_count(std::string_view where, std::string_view things, size_t smallest,
                              uint64_t limit) {
    OCTAVO_ASSIGN(const uint64_t count, read_number<uint64_t>(where));
    if (count > limit) {
      return invalid_input("{}: {}: {} {}, more than the limit of {}", name_, where, count, things,
                           limit);
    }
    if (count > left() / smallest) {
      return invalid_input("{}: {}: {} {}, more than the {} bytes left of the file can hold", name_,
                           where, count, things, left());
    }
    return count;
  }

  Result<void> read_header() {
    const std::string_view where = "header";
    OCTAVO_ASSIGN(const uint32_t magic, read_number<uint32_t>(where));
    if (magic != kGgufMagic) return invalid_input("{}: not a GGUF file", name_);
    OCTAVO_ASSIGN(part_.version, read_number<uint32_t>(where));
    if (part_.version != 0 && (part_.version & 0xFFFF) == 0) {
      return unsupported("{}: header: a big-endian GGUF file; only little-endian ones are read",
                         name_);
    }
    if (part_.version != 2 && part_.version != 3) {
      return unsupported("{}: header: GGUF version {}; versions 2 and 3 are supported", name_,
                         part_.version);
    }
    OCTAVO_ASSIGN(tensor_count_, read_count(where, "tensors", kSmallestTensorBytes, kMaxTensors));
    OCTAVO_ASSIGN(key_count_, read_count(where, "keys", kSmallestKeyBytes, kMaxKeys));
    return {};
  }

  Result<void> read_metadata() {
    for (uint64_t i = 0; i < key_count_; ++i) {
      OCTAVO_ASSIGN(std::string key, read_name(fmt::format("key {}", i), kMaxKeyBytes));
      const std::string where = fmt::format("key '{}'", printable(key));
      OCTAVO_ASSIGN(const uint32_t type, read_number<uint32_t>(where));
      OCTAVO_ASSIGN(Value value, read_value(where, static_cast<ValueType>(type)));
      OCTAVO_TRY(part_.metadata.insert(std::move(key), std::move(value)));
    }
    return {};
  }

  Result<Value> read_value(std::string_view where, ValueType type) {
    Value value;
    value.type = type;
    if (type == ValueType::array) {
      OCTAVO_ASSIGN(value.data, read_array(where));
    } else {
      OCTAVO_ASSIGN(value.data, read_scalar(where, type));
    }
    return value;
  }

  // A number of type T, widened to the type that holds its kind.
  template <class Wide, class T>
  Result<Scalar> read_wide(std::string_view where) {
    OCTAVO_ASSIGN(const T number, read_number<T>(where));
    return Scalar(static_cast<Wide>(number));
  }

  Result<Scalar> read_scalar(std::string_view where, ValueType type) {
    switch (type) {
      case ValueType::u8:
        return read_wide<uint64_t, uint8_t>(where);
      case ValueType::u16:
        return read_wide<uint64_t, uint16_t>(where);
      case ValueType::u32:
        return read_wide<uint64_t, uint32_t>(where);
      case ValueType::u64:
        return read_wide<uint64_t, uint64_t>(where);
      case ValueType::i8:
        return read_wide<int64_t, int8_t>(where);
      case ValueType::i16:
        return read_wide<int64_t, int16_t>(where);
      case ValueType::i32:
        return read_wide<int64_t, int32_t>(where);
      case ValueType::i64:
        return read_wide<int64_t, int64_t>(where);
      case ValueType::f32:
        return read_wide<double, float>(where);
      case ValueType::f64:
        return read_wide<double, double>(where);
      case ValueType::boolean: {
        OCTAVO_ASSIGN(const uint8_t byte, read_number<uint8_t>(where));
        if (byte > 1) return bad_bool(where, byte);
        return Scalar(byte == 1);
      }
      case ValueType::string: {
        OCTAVO_ASSIGN(const std::string_view text, read_string(where));
        return Scalar(std::string(text));
      }
      case ValueType::array:
        break;
    }
    return bad_type(where, type);
  }

  Error bad_bool(std::string_view where, uint64_t byte) const {
    return invalid_input("{}: {}: a bool with the value {}; 0 and 1 are valid", name_, where, byte);
  }

  Error bad_type(std::string_view where, ValueType type) const {
    return invalid_input("{}: {}: {} is not a type of a GGUF value", name_, where,
                         static_cast<uint32_t>(type));
  }

  template <class T, class Wide>
  Result<void> read_numbers(std::string_view where, std::vector<Wide>& out) {
    OCTAVO_ASSIGN(const uint64_t count, read_count(where, "elements", sizeof(T), kMaxArrayLength));
    out.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      T number = {};
      std::memcpy(&number, bytes_ + position_, sizeof(T));
      position_ += sizeof(T);
      out.push_back(static_cast<Wide>(number));
    }
    return {};
  }

  Result<void> read_strings(std::string_view where, std::vector<std::string>& out) {
    OCTAVO_ASSIGN(const uint64_t count,
                  read_count(where, "elements", sizeof(uint64_t), kMaxArrayLength));
    out.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      OCTAVO_ASSIGN(const std::string_view text, read_string(where));
      out.emplace_back(text);
    }
    return {};
  }

  Result<Array> read_array(std::string_view where) {
    OCTAVO_ASSIGN(const uint32_t type, read_number<uint32_t>(where));
    Array array;
    array.element_type = static_cast<ValueType>(type);
    OCTAVO_TRY(read_elements(where, array));
    return array;
  }

  Result<void> read_elements(std::string_view where, Array& array) {
    switch (array.element_type) {
      case ValueType::u8:
        return read_numbers<uint8_t>(where, array.unsigned_values);
      case ValueType::u16:
        return read_numbers<uint16_t>(where, array.unsigned_values);
      case ValueType::u32:
        return read_numbers<uint32_t>(where, array.unsigned_values);
      case ValueType::u64:
        return read_numbers<uint64_t>(where, array.unsigned_values);
      case ValueType::i8:
        return read_numbers<int8_t>(where, array.signed_values);
      case ValueType::i16:
        return read_numbers<int16_t>(where, array.signed_values);
      case ValueType::i32:
        return read_numbers<int32_t>(where, array.signed_values);
      case ValueType::i64:
        return read_numbers<int64_t>(where, array.signed_values);
      case ValueType::f32:
        return read_numbers<float>(where, array.float_values);
      case ValueType::f64:
        return read_numbers<double>(where, array.float_values);
      case ValueType::boolean:
        OCTAVO_TRY(read_numbers<uint8_t>(where, array.unsigned_values));
        for (const uint64_t byte : array.unsigned_values) {
          if (byte > 1) return bad_bool(where, byte);
        }
        return {};
      case ValueType::string:
        return read_strings(where, array.strings);
      case ValueType::array:
        return unsupported("{}: {}: an array of arrays is not supported", name_, where);
    }
    return bad_type(where, array.element_type);
  }

  Result<void> read_tensor_infos() {
    part_.tensors.reserve(tensor_count_);
    for (uint64_t i = 0; i < tensor_count_; ++i) {
      TensorInfo tensor;
      OCTAVO_ASSIGN(tensor.name, read_name(fmt::format("tensor {}", i), kMaxTensorNameBytes));
      const std::string where = fmt::format("tensor '{}'", printable(tensor.name));
      OCTAVO_ASSIGN(tensor.dim_count, read_number<uint32_t>(where));
      if (tensor.dim_count == 0 || tensor.dim_count > kMaxDims) {
        return invalid_input("{}: {}: {} dimensions; 1 to {} are valid", name_, where,
                             tensor.dim_count, kMaxDims);
      }
      for (uint32_t d = 0; d < tensor.dim_count; ++d) {
        OCTAVO_ASSIGN(tensor.dims[d], read_number<uint64_t>(where));
      }
      OCTAVO_ASSIGN(const uint32_t type, read_number<uint32_t>(where));
      const std::optional<DType> dtype = dtype_from_gguf_id(type);
      if (!dtype) {
        return unsupported("{}: {}: tensor type {} is not supported; supported are {}", name_,
                           where, type_name(type), supported_types());
      }
      tensor.type = *dtype;
      OCTAVO_TRY(compute_bytes(where, tensor));
      // Relative to the data section until place_tensors().
      OCTAVO_ASSIGN(tensor.offset, read_number<uint64_t>(where));
      part_.tensors.push_back(std::move(tensor));
    }
    return {};
  }

  Result<void> compute_bytes(std::string_view where, TensorInfo& tensor) const {
    const DTypeInfo& type = info(tensor.type);
    if (tensor.dims[0] % type.block_elements != 0) {
      return invalid_input("{}: {}: rows of {} values, not a multiple of {}'s block of {}", name_,
                           where, tensor.dims[0], type.name, type.block_elements);
    }
    // The bytes of a tensor are below 2^62, so that sums with offsets cannot overflow.
    constexpr uint64_t kLimitBytes = uint64_t{1} << 62;
    uint64_t elements = 1;
    for (const uint64_t dim : tensor.dims) {
      if (dim == 0) return invalid_input("{}: {}: a dimension of 0", name_, where);
      if (elements > kLimitBytes / type.block_bytes / dim) {
        return invalid_input("{}: {}: dimensions {} x {} x {} x {} are absurdly large", name_,
                             where, tensor.dims[0], tensor.dims[1], tensor.dims[2], tensor.dims[3]);
      }
      elements *= dim;
    }
    tensor.bytes = elements / type.block_elements * type.block_bytes;
    return {};
  }

  Result<uint64_t> alignment_bytes() const {
    constexpr std::string_view kKey = "general.alignment";
    OCTAVO_ASSIGN(const uint32_t alignment, part_.metadata.u32_or(kKey, kDefaultAlignmentBytes));
    if (!std::has_single_bit(alignment) || alignment < 8 || alignment > kMaxAlignmentBytes) {
      return invalid_input("{}: key '{}': {} is not a power of two between 8 and {}", name_, kKey,
                           alignment, kMaxAlignmentBytes);
    }
    return alignment;
  }

  Result<void> place_tensors() {
    OCTAVO_ASSIGN(const uint64_t alignment, alignment_bytes());
    const uint64_t data_start = (position_ + alignment - 1) / alignment * alignment;
    for (TensorInfo& tensor : part_.tensors) {
      if (tensor.offset % alignment != 0) {
        return invalid_input("{}: tensor '{}': offset {} is not a multiple of the alignment, {}",
                             name_, printable(tensor.name), tensor.offset, alignment);
      }
      const bool inside = data_start <= size_ && tensor.offset <= size_ - data_start &&
                          tensor.bytes <= size_ - data_start - tensor.offset;
      if (!inside) {
        return invalid_input(
            "{}: tensor '{}': {} bytes at offset {} of the data, which starts at {}, lie outside "
            "the file of {} bytes",
            name_, printable(tensor.name), tensor.bytes, tensor.offset, data_start, size_);
      }
      tensor.offset += data_start;
      tensor.data = bytes_ + tensor.offset;
    }
    return {};
  }

  Result<void> check_overlaps() const {
    std::vector<size_t> order(part_.tensors.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      return part_.tensors[a].offset < part_.tensors[b].offset;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      const TensorInfo& before = part_.tensors[order[i - 1]];
      const TensorInfo& after = part_.tensors[order[i]];
      if (before.offset + before.bytes > after.offset) {
        return invalid_input("{}: tensor '{}': its bytes overlap those of tensor '{}'", name_,
                             printable(after.name), printable(before.name));
      }
    }
    return {};
  }

  const std::string name_;
  const std::byte* bytes_;
  const size_t size_;
  size_t position_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t key_count_ = 0;
  Part part_;
};

}  // namespace

Result<Part> parse_part(const std::string& name, const std::byte* bytes, size_t size) {
  return Parser(name, bytes, size).parse();
}

}  // namespace octavo::gguf
