#include "gguf/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace octavo::gguf {
namespace {

static_assert(std::endian::native == std::endian::little);

template <class T>
void append_number(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void append_string(std::string& out, std::string_view text) {
  append_number(out, static_cast<uint64_t>(text.size()));
  out += text;
}

void append_unsigned(std::string& out, ValueType type, uint64_t number) {
  if (type == ValueType::u8 || type == ValueType::boolean) {
    append_number(out, static_cast<uint8_t>(number));
  } else if (type == ValueType::u16) {
    append_number(out, static_cast<uint16_t>(number));
  } else if (type == ValueType::u32) {
    append_number(out, static_cast<uint32_t>(number));
  } else {
    OCTAVO_CHECK(type == ValueType::u64);
    append_number(out, number);
  }
}

void append_signed(std::string& out, ValueType type, int64_t number) {
  if (type == ValueType::i8) {
    append_number(out, static_cast<int8_t>(number));
  } else if (type == ValueType::i16) {
    append_number(out, static_cast<int16_t>(number));
  } else if (type == ValueType::i32) {
    append_number(out, static_cast<int32_t>(number));
  } else {
    OCTAVO_CHECK(type == ValueType::i64);
    append_number(out, number);
  }
}

void append_float(std::string& out, ValueType type, double number) {
  if (type == ValueType::f32) {
    append_number(out, static_cast<float>(number));
  } else {
    OCTAVO_CHECK(type == ValueType::f64);
    append_number(out, number);
  }
}

void append_scalar(std::string& out, ValueType type, const Scalar& scalar) {
  if (const auto* number = std::get_if<uint64_t>(&scalar)) {
    append_unsigned(out, type, *number);
  } else if (const auto* signed_number = std::get_if<int64_t>(&scalar)) {
    append_signed(out, type, *signed_number);
  } else if (const auto* real = std::get_if<double>(&scalar)) {
    append_float(out, type, *real);
  } else if (const auto* truth = std::get_if<bool>(&scalar)) {
    OCTAVO_CHECK(type == ValueType::boolean);
    append_number(out, static_cast<uint8_t>(*truth ? 1 : 0));
  } else {
    OCTAVO_CHECK(type == ValueType::string);
    append_string(out, std::get<std::string>(scalar));
  }
}

void append_array(std::string& out, const Array& array) {
  append_number(out, static_cast<uint32_t>(array.element_type));
  append_number(out, static_cast<uint64_t>(array.size()));
  for (const uint64_t number : array.unsigned_values) {
    append_unsigned(out, array.element_type, number);
  }
  for (const int64_t number : array.signed_values) append_signed(out, array.element_type, number);
  for (const double number : array.float_values) append_float(out, array.element_type, number);
  for (const std::string& text : array.strings) append_string(out, text);
}

// What one thread makes and writes at a time: stays in its cache, and large for the system.
constexpr uint64_t kPieceBytes = uint64_t{1} << 20;

// 0, or an error number.
int write_at(int file, std::span<const std::byte> bytes, uint64_t position) {
  while (!bytes.empty()) {
    const ssize_t count = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (count < 0 && errno != EINTR) return errno;
    if (count <= 0) continue;
    bytes = bytes.subspan(static_cast<size_t>(count));
    position += static_cast<uint64_t>(count);
  }
  return 0;
}

}  // namespace

Writer::Writer(uint32_t alignment_bytes) : alignment_bytes_(alignment_bytes) {
  OCTAVO_CHECK(std::has_single_bit(alignment_bytes) && alignment_bytes >= 8);
  if (alignment_bytes != 32) add_u32("general.alignment", alignment_bytes);
}

void Writer::add(std::string_view key, const Value& value) {
  OCTAVO_CHECK(names_.insert(fmt::format("key {}", key)).second, "key '{}' twice", key);
  append_string(keys_, key);
  append_number(keys_, static_cast<uint32_t>(value.type));
  if (const auto* array = std::get_if<Array>(&value.data)) {
    OCTAVO_CHECK(value.type == ValueType::array);
    append_array(keys_, *array);
  } else {
    append_scalar(keys_, value.type, std::get<Scalar>(value.data));
  }
  key_count_ += 1;
}

void Writer::add_u32(std::string_view key, uint32_t value) {
  add(key, {ValueType::u32, Scalar(uint64_t{value})});
}

void Writer::add_f32(std::string_view key, float value) {
  add(key, {ValueType::f32, Scalar(double{value})});
}

void Writer::add_bool(std::string_view key, bool value) {
  add(key, {ValueType::boolean, Scalar(value)});
}

void Writer::add_string(std::string_view key, std::string_view value) {
  add(key, {ValueType::string, Scalar(std::string(value))});
}

void Writer::add_strings(std::string_view key, std::vector<std::string> values) {
  Array array;
  array.element_type = ValueType::string;
  array.strings = std::move(values);
  add(key, {ValueType::array, std::move(array)});
}

void Writer::add_i32s(std::string_view key, const std::vector<int32_t>& values) {
  Array array;
  array.element_type = ValueType::i32;
  array.signed_values.assign(values.begin(), values.end());
  add(key, {ValueType::array, std::move(array)});
}

void Writer::add_f32s(std::string_view key, const std::vector<float>& values) {
  Array array;
  array.element_type = ValueType::f32;
  array.float_values.assign(values.begin(), values.end());
  add(key, {ValueType::array, std::move(array)});
}

void Writer::add_tensor(std::string_view name, DType type, const std::vector<uint64_t>& dims,
                        std::vector<std::byte> bytes) {
  const size_t given = bytes.size();
  const uint64_t block_bytes = info(type).block_bytes;
  add_tensor(name, type, dims,
             [bytes = std::move(bytes), block_bytes](uint64_t first, std::span<std::byte> out) {
               std::memcpy(out.data(), bytes.data() + first * block_bytes, out.size());
             });
  OCTAVO_CHECK(data_.back().bytes == given, "tensor '{}'", name);
}

void Writer::add_tensor(std::string_view name, DType type, const std::vector<uint64_t>& dims,
                        BlockMaker make_blocks) {
  OCTAVO_CHECK(names_.insert(fmt::format("tensor {}", name)).second, "tensor '{}' twice", name);
  OCTAVO_CHECK(!dims.empty() && dims.size() <= 4, "tensor '{}'", name);
  append_string(tensors_, name);
  append_number(tensors_, static_cast<uint32_t>(dims.size()));
  uint64_t elements = 1;
  for (const uint64_t dim : dims) {
    append_number(tensors_, dim);
    elements *= dim;
  }
  OCTAVO_CHECK(dims[0] % info(type).block_elements == 0, "tensor '{}'", name);
  append_number(tensors_, info(type).gguf_id);
  append_number(tensors_, data_bytes_);
  const uint64_t bytes = row_bytes(type, elements);
  data_.push_back({std::move(make_blocks), info(type).block_bytes, bytes, data_bytes_});
  data_bytes_ += bytes + padding_bytes(bytes);
}

uint64_t Writer::padding_bytes(uint64_t position) const {
  return (alignment_bytes_ - position % alignment_bytes_) % alignment_bytes_;
}

std::string Writer::header() const {
  std::string out = "GGUF";
  append_number(out, uint32_t{3});
  append_number(out, static_cast<uint64_t>(data_.size()));
  append_number(out, key_count_);
  out += keys_;
  out += tensors_;
  out.append(padding_bytes(out.size()), '\0');
  return out;
}

std::vector<std::byte> Writer::bytes() const {
  const std::string head = header();
  std::vector<std::byte> out(head.size() + data_bytes_);
  std::memcpy(out.data(), head.data(), head.size());
  for (const TensorData& data : data_) {
    if (data.bytes == 0) continue;
    data.make_blocks(0, std::span(out).subspan(head.size() + data.offset, data.bytes));
  }
  return out;
}

Result<void> Writer::write(const std::string& path, int threads,
                           const std::function<bool()>& should_stop) const {
  const auto failed = [&path](int error) {
    return io_error("{}: {}", path, std::generic_category().message(error));
  };
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return failed(errno);
  int error = write_file(file, threads, should_stop);
  if (close(file) != 0 && error == 0) error = errno;
  if (error == 0) return {};
  unlink(path.c_str());
  return failed(error);
}

int Writer::write_file(int file, int threads, const std::function<bool()>& should_stop) const {
  const std::string head = header();
  // What nobody writes, the padding, reads as zeros.
  if (ftruncate(file, static_cast<off_t>(head.size() + data_bytes_)) != 0) return errno;
  ThreadPool pool(threads);
  for (const TensorData& data : data_) {
    const uint64_t position = head.size() + data.offset;
    if (const int error = write_data(file, position, data, pool, should_stop)) return error;
  }
  // The header comes last: a file whose making was interrupted is not taken for a model.
  return write_at(file, std::as_bytes(std::span(head)), 0);
}

int Writer::write_data(int file, uint64_t position, const TensorData& data, ThreadPool& pool,
                       const std::function<bool()>& should_stop) const {
  const uint64_t piece_bytes = kPieceBytes / data.block_bytes * data.block_bytes;
  std::atomic<int> first_error{0};
  pool.parallel_for((data.bytes + piece_bytes - 1) / piece_bytes, [&](size_t piece) {
    if (first_error != 0) return;
    const auto write_piece = [&] {
      const uint64_t begin = piece * piece_bytes;
      std::vector<std::byte> bytes(std::min(piece_bytes, data.bytes - begin));
      data.make_blocks(begin / data.block_bytes, bytes);
      return write_at(file, bytes, position + begin);
    };
    const int error = should_stop() ? ECANCELED : write_piece();
    int none = 0;
    if (error != 0) first_error.compare_exchange_strong(none, error);
  });
  return first_error;
}

}  // namespace octavo::gguf
