#include "gguf/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <system_error>

#include "base/error.h"

namespace octavo::gguf {
namespace {

Error system_error(const std::string& path, int number) {
  const std::string reason = std::generic_category().message(number);
  if (number == ENOENT) return not_found("{}: {}", printable(path, 4096), reason);
  const std::string message = fmt::format("{}: {}", printable(path, 4096), reason);
  // Only what may pass is the system's fault; all else is a wrong path.
  const bool may_pass = number == EMFILE || number == ENFILE || number == ENOMEM || number == EIO;
  return {may_pass ? ErrorKind::io : ErrorKind::invalid_input, message};
}

}  // namespace

Result<std::unique_ptr<Mapping>> Mapping::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return system_error(path, errno);
  // The mapping outlives the descriptor, which is closed on every way out.
  const auto close_descriptor = [](const int* fd) { ::close(*fd); };
  const std::unique_ptr<const int, decltype(close_descriptor)> closer(&descriptor,
                                                                      close_descriptor);
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) return system_error(path, errno);
  if (!S_ISREG(status.st_mode)) return invalid_input("{}: not a file", printable(path, 4096));
  if (status.st_size == 0) return invalid_input("{}: the file is empty", printable(path, 4096));
  const auto size = static_cast<size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (address == MAP_FAILED) return system_error(path, errno);
  return std::unique_ptr<Mapping>(new Mapping(static_cast<std::byte*>(address), size));
}

Mapping::~Mapping() {
  ::munmap(data_, size_);
}

bool Mapping::contains(const std::byte* address) const {
  // std::less orders pointers into different objects, which `<` does not promise.
  const std::less<> less;
  return !less(address, data_) && less(address, data_ + size_);
}

void Mapping::release(const std::byte* bytes, size_t count) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto start = static_cast<size_t>(bytes - data_);
  const size_t first = (start + page - 1) / page * page;
  // The mapping's last page holds nothing after the file's end, so it may go as a whole.
  const size_t last = start + count == size_ ? size_ : (start + count) / page * page;
  // Only advice: where the system does not take it, the pages simply stay.
  if (first < last) ::madvise(data_ + first, last - first, MADV_DONTNEED);
}

}  // namespace octavo::gguf
