#include "engine/disk_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace octavo {
namespace {

constexpr std::array<char, 8> kMagic = {'O', 'c', 't', 'a', 'v', 'o', 'K', 'V'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kRecordMagic = 0x6b636f6c62564b4fULL;
// More than any request has (the scheduler's limit on extra keys and a model's context).
constexpr uint32_t kMostTokens = uint32_t{1} << 28;
constexpr uint32_t kMostKeyBytes = uint32_t{1} << 16;

struct FileHead {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t identity_bytes = 0;
  uint64_t generation = 0;
  uint64_t block_bytes = 0;
  uint64_t checksum = 0;  // of the whole page, this field taken as 0
};

using Page = std::array<std::byte, DiskStore::kPageBytes>;
static_assert(sizeof(FileHead) + DiskStore::kMostIdentityBytes <= sizeof(Page));

uint64_t checksum_of(Page page) {
  FileHead head;
  std::memcpy(&head, page.data(), sizeof head);
  head.checksum = 0;
  std::memcpy(page.data(), &head, sizeof head);
  return XXH3_64bits(page.data(), page.size());
}

uint64_t hash_of(const BlockName& name) {
  uint64_t hash = XXH3_64bits_withSeed(name.prefix.data(), name.prefix.size_bytes(),
                                       static_cast<uint64_t>(name.group));
  hash = XXH3_64bits_withSeed(name.extra_key.data(), name.extra_key.size(), hash);
  return hash;
}

// False: the end of the file, or an error, came first.
bool read_fully(int file, void* out, size_t bytes, int64_t offset) {
  auto* at = static_cast<std::byte*>(out);
  while (bytes > 0) {
    const ssize_t count = pread(file, at, bytes, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    at += count;
    bytes -= static_cast<size_t>(count);
    offset += count;
  }
  return true;
}

bool write_fully(int file, const void* from, size_t bytes, int64_t offset) {
  const auto* at = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const ssize_t count = pwrite(file, at, bytes, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      if (count == 0) errno = ENOSPC;
      return false;
    }
    at += count;
    bytes -= static_cast<size_t>(count);
    offset += count;
  }
  return true;
}

constexpr int64_t round_up_to_page(int64_t bytes) {
  return (bytes + DiskStore::kPageBytes - 1) / DiskStore::kPageBytes * DiskStore::kPageBytes;
}

// A file that is not Octavo's must not be overwritten by a slip of the hand. One that holds less
// than the magic, or zeros, can be what a crash left of a new file.
Result<void> check_ours(const std::string& path, int file) {
  struct stat status = {};
  if (fstat(file, &status) != 0) return io_error("{}: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return invalid_input("{}: not a regular file", path);
  std::array<char, 8> start = kMagic;
  const auto bytes = static_cast<size_t>(std::min<int64_t>(status.st_size, kMagic.size()));
  if (!read_fully(file, start.data(), bytes, 0)) {
    return io_error("{}: cannot be read: {}", path, std::strerror(errno));
  }
  if (start != kMagic && start != std::array<char, 8>{}) {
    return invalid_input("{}: not a KV cache of Octavo; it is left alone", path);
  }
  if ((status.st_mode & 077) != 0 && fchmod(file, 0600) != 0) {
    return io_error("{}: others may read it, and its mode cannot be changed: {}", path,
                    std::strerror(errno));
  }
  return {};
}

}  // namespace

struct DiskStore::Header {
  uint64_t magic = kRecordMagic;
  uint64_t serial = 0;  // rises from record to record, so that the newest is known after a restart
  uint64_t hash = 0;    // of the name
  uint32_t tokens = 0;
  uint32_t key_bytes = 0;
  uint32_t group = 0;
  uint32_t reserved = 0;
  uint64_t block_bytes = 0;
  uint64_t body_checksum = 0;  // of tokens, extra key and block
  uint64_t checksum = 0;       // of everything above

  int64_t body_bytes() const {
    return int64_t{tokens} * 4 + key_bytes + static_cast<int64_t>(block_bytes);
  }
  int64_t bytes() const {
    return round_up_to_page(static_cast<int64_t>(sizeof(Header)) + body_bytes());
  }
  uint64_t own_checksum(uint64_t generation) const {
    return XXH3_64bits_withSeed(this, offsetof(Header, checksum), generation);
  }
};

Result<DiskStore> DiskStore::open(const std::string& path, int64_t block_bytes,
                                  int64_t limit_bytes) {
  // Not to be blocked by a pipe, which is refused below.
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
  if (file < 0) return io_error("{}: {}", path, std::strerror(errno));
  DiskStore store(path, file, block_bytes, limit_bytes);
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return store.failed("cannot be locked");
    return resource_error("{}: another process uses it", path);
  }
  OCTAVO_TRY(check_ours(path, file));
  const int64_t least = kPageBytes + round_up_to_page(block_bytes + kPageBytes);
  if (limit_bytes < least) {
    return invalid_input("{}: a limit of {} bytes has no room for a block; it takes {}", path,
                         limit_bytes, least);
  }
  return store;
}

DiskStore::DiskStore(DiskStore&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      block_bytes_(other.block_bytes_),
      limit_bytes_(other.limit_bytes_) {
  OCTAVO_CHECK(other.generation_ == 0, "a store that was started stays where it is");
}

DiskStore::~DiskStore() {
  if (file_ >= 0) close(file_);  // and unlocks it
}

Error DiskStore::failed(const char* what) const {
  return io_error("{}: {}: {}", path_, what, std::strerror(errno));
}

Result<void> DiskStore::start(std::string_view identity) {
  OCTAVO_CHECK(identity.size() <= kMostIdentityBytes, "an identity of {} bytes", identity.size());
  if (!read_head(identity)) return write_head(identity);
  // A smaller limit than that of the run before: what lies behind it goes.
  struct stat status = {};
  if (fstat(file_, &status) != 0) return failed("cannot be read");
  if (status.st_size > limit_bytes_ && ftruncate(file_, limit_bytes_) != 0) {
    return failed("cannot be cut");
  }
  scan();
  return {};
}

bool DiskStore::read_head(std::string_view identity) {
  Page page;
  FileHead head;
  if (!read_fully(file_, page.data(), page.size(), 0)) return false;
  std::memcpy(&head, page.data(), sizeof head);
  const std::string_view text(reinterpret_cast<const char*>(page.data()) + sizeof head,
                              std::min<size_t>(head.identity_bytes, kMostIdentityBytes));
  generation_ = head.generation;
  return head.magic == kMagic && head.version == kVersion && head.checksum == checksum_of(page) &&
         head.block_bytes == static_cast<uint64_t>(block_bytes_) && text == identity;
}

// Empties the file. Records of the generation before would not pass their checksums any more, but
// their text should not lie about either.
Result<void> DiskStore::write_head(std::string_view identity) {
  std::random_device random;
  generation_ = static_cast<uint64_t>(random()) << 32 | random();
  FileHead head;
  head.identity_bytes = static_cast<uint32_t>(identity.size());
  head.generation = generation_;
  head.block_bytes = static_cast<uint64_t>(block_bytes_);
  Page page = {};
  std::memcpy(page.data(), &head, sizeof head);
  std::memcpy(page.data() + sizeof head, identity.data(), identity.size());
  head.checksum = checksum_of(page);
  std::memcpy(page.data(), &head, sizeof head);
  if (ftruncate(file_, 0) != 0) return failed("cannot be emptied");
  if (!write_fully(file_, page.data(), page.size(), 0)) return failed("cannot be written");
  return {};
}

bool DiskStore::is_sound(const Header& header, int64_t offset) const {
  return header.magic == kRecordMagic && header.checksum == header.own_checksum(generation_) &&
         header.block_bytes == static_cast<uint64_t>(block_bytes_) &&
         header.tokens <= kMostTokens && header.key_bytes <= kMostKeyBytes &&
         offset + header.bytes() <= limit_bytes_;
}

// Reads headers alone: bodies are checked when they are wanted. From a sound header the next one is
// a record away; where there is none, it may begin at any page. What is found can be found by
// others once all of it is known: the newest record of a name is the one that counts.
void DiskStore::scan() {
  std::unordered_map<uint64_t, uint64_t> serials;
  std::map<int64_t, Place> places;
  std::unordered_map<uint64_t, int64_t> offsets;
  int64_t offset = kPageBytes;
  Header header;
  while (read_fully(file_, &header, sizeof header, offset)) {
    if (!is_sound(header, offset)) {
      offset += kPageBytes;
      continue;
    }
    if (header.serial >= next_serial_) {
      next_serial_ = header.serial + 1;
      write_offset_ = offset + header.bytes();
    }
    uint64_t& newest = serials[header.hash];
    if (header.serial > newest) {
      newest = header.serial;
      const auto older = offsets.find(header.hash);
      if (older != offsets.end()) places.erase(older->second);
      offsets[header.hash] = offset;
      places[offset] = {header.hash, header.bytes()};
    }
    offset += header.bytes();
  }
  const std::lock_guard lock(mutex_);
  places_ = std::move(places);
  offsets_ = std::move(offsets);
}

int64_t DiskStore::record_bytes(const BlockName& name) const {
  return round_up_to_page(static_cast<int64_t>(sizeof(Header)) +
                          static_cast<int64_t>(name.prefix.size_bytes() + name.extra_key.size()) +
                          block_bytes_);
}

bool DiskStore::contains(const BlockName& name) const {
  const uint64_t hash = hash_of(name);
  const std::lock_guard lock(mutex_);
  return offsets_.contains(hash);
}

int64_t DiskStore::records() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(places_.size());
}

void DiskStore::forget(int64_t first, int64_t end) {
  const std::lock_guard lock(mutex_);
  auto place = places_.lower_bound(first);
  if (place != places_.begin()) {
    const auto before = std::prev(place);
    if (before->first + before->second.bytes > first) place = before;
  }
  while (place != places_.end() && place->first < end) {
    offsets_.erase(place->second.hash);
    place = places_.erase(place);
  }
}

bool DiskStore::get(const BlockName& name, std::span<std::byte> out) {
  OCTAVO_CHECK(static_cast<int64_t>(out.size()) == block_bytes_);
  const uint64_t hash = hash_of(name);
  int64_t offset = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = offsets_.find(hash);
    if (found == offsets_.end()) return false;
    offset = found->second;
  }
  const int64_t bytes = record_bytes(name);
  buffer_.resize(static_cast<size_t>(bytes));
  Header header;
  bool is_intact = read_fully(file_, buffer_.data(), sizeof header, offset);
  std::memcpy(&header, buffer_.data(), sizeof header);
  is_intact = is_intact && is_sound(header, offset) && header.hash == hash;
  const bool is_same_shape = header.tokens == name.prefix.size() &&
                             header.key_bytes == name.extra_key.size() &&
                             header.group == static_cast<uint32_t>(name.group);
  if (is_intact && !is_same_shape) return false;  // a collision: the record is somebody else's
  const std::byte* body = buffer_.data() + sizeof header;
  const auto body_bytes = static_cast<size_t>(header.body_bytes());
  is_intact = is_intact && read_fully(file_, buffer_.data(), buffer_.size(), offset) &&
              header.body_checksum == XXH3_64bits_withSeed(body, body_bytes, generation_);
  if (!is_intact) {
    forget(offset, offset + 1);
    return false;
  }
  const std::byte* key = body + name.prefix.size_bytes();
  const std::byte* block = key + name.extra_key.size();
  if (std::memcmp(body, name.prefix.data(), name.prefix.size_bytes()) != 0 ||
      std::memcmp(key, name.extra_key.data(), name.extra_key.size()) != 0) {
    return false;
  }
  std::memcpy(out.data(), block, out.size());
  return true;
}

// Where the next record goes: behind the newest, or at the file's start again. Whatever was there
// is not found any more, before a byte of it changes.
int64_t DiskStore::take_place(int64_t bytes) {
  if (write_offset_ + bytes > limit_bytes_) write_offset_ = kPageBytes;
  const int64_t offset = write_offset_;
  forget(offset, offset + bytes);
  write_offset_ += bytes;
  return offset;
}

Result<void> DiskStore::put(const BlockName& name, std::span<const std::byte> block) {
  OCTAVO_CHECK(static_cast<int64_t>(block.size()) == block_bytes_);
  const int64_t bytes = record_bytes(name);
  if (bytes > limit_bytes_ - kPageBytes || name.extra_key.size() > kMostKeyBytes ||
      name.prefix.size() > kMostTokens || contains(name)) {
    return {};
  }
  buffer_.assign(static_cast<size_t>(bytes), std::byte{});
  Header header;
  std::byte* body = buffer_.data() + sizeof header;
  std::byte* key = body + name.prefix.size_bytes();
  std::memcpy(body, name.prefix.data(), name.prefix.size_bytes());
  if (!name.extra_key.empty()) std::memcpy(key, name.extra_key.data(), name.extra_key.size());
  std::memcpy(key + name.extra_key.size(), block.data(), block.size());
  header.serial = next_serial_++;
  header.hash = hash_of(name);
  header.tokens = static_cast<uint32_t>(name.prefix.size());
  header.key_bytes = static_cast<uint32_t>(name.extra_key.size());
  header.group = static_cast<uint32_t>(name.group);
  header.block_bytes = static_cast<uint64_t>(block_bytes_);
  header.body_checksum =
      XXH3_64bits_withSeed(body, static_cast<size_t>(header.body_bytes()), generation_);
  header.checksum = header.own_checksum(generation_);
  std::memcpy(buffer_.data(), &header, sizeof header);

  const int64_t offset = take_place(bytes);
  if (!write_fully(file_, buffer_.data(), buffer_.size(), offset)) {
    return failed("cannot be written");
  }
  const std::lock_guard lock(mutex_);
  places_[offset] = {header.hash, bytes};
  offsets_[header.hash] = offset;
  return {};
}

}  // namespace octavo
