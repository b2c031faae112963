// DiskStore: blocks of the KV cache in one file, each under the name of what it holds.
//
// A block's name is everything that determines its bytes: all tokens up to its end, the extra key
// (a tenant's salt, ...) and the KV group. A record holds the whole name beside the block, so every
// record can be judged by itself: get() compares all of it, and a hash only says where to look. A
// collision of hashes thus costs time and never gives a wrong block, and nobody reads what was
// written under another extra key.
//
//   file:    head page | record | record | ...          records are multiples of a page
//   head:    magic, version, generation, identity, checksum
//   record:  header (name's hash, lengths, checksums) | tokens | extra key | block | padding
//
// The records form a ring: the newest takes the place of the oldest once the file has reached its
// limit. Checksums are XXH3, seeded with the file's random generation, which nobody outside knows:
// bytes that a request brings along cannot pass for a record. A record that was written in part (a
// crash, a full disk), damaged, or left from an earlier generation is not found. Nothing is ever
// synced: after a crash of the machine, whatever is not whole is a miss.
//
// The file holds what users wrote, their salts too, readable by whoever can read the file: it is
// made with mode 0600. One process at a time may use it (flock).
//
// Thread safety: contains() may be called from any thread; all else belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "octavo/result.h"

namespace octavo {

// What a block holds.
struct BlockName {
  std::span<const int32_t> prefix;  // all tokens from the sequence's first to the block's last
  std::string_view extra_key;
  int32_t group = 0;
};

class DiskStore {
 public:
  static constexpr int64_t kPageBytes = 4096;
  static constexpr size_t kMostIdentityBytes = 3072;

  // Opens or makes the file and locks it. Refused: a file of another program, one that another
  // process uses, a limit that has no room for a record. Errors name the file. Nothing is read and
  // nothing is found before start().
  static Result<DiskStore> open(const std::string& path, int64_t block_bytes, int64_t limit_bytes);
  DiskStore(DiskStore&& other) noexcept;
  DiskStore& operator=(DiskStore&&) = delete;
  ~DiskStore();

  // Finds the records of an earlier run. `identity` says, in words, all that the blocks' bytes
  // depend on beside their names; when the file was written under another one, or its head is
  // damaged, it is emptied and starts anew.
  Result<void> start(std::string_view identity);

  // Whether a record with the name's hash is there: almost always the block itself.
  bool contains(const BlockName& name) const;
  // Reads the block into `out` (block_bytes). False: it is not there, or not intact.
  bool get(const BlockName& name, std::span<std::byte> out);
  // Writes a block. What is there already, or could never fit, is left out. The error is the
  // system's.
  Result<void> put(const BlockName& name, std::span<const std::byte> block);

  int64_t records() const;

 private:
  struct Header;
  struct Place {
    uint64_t hash = 0;
    int64_t bytes = 0;
  };

  DiskStore(std::string path, int file, int64_t block_bytes, int64_t limit_bytes)
      : path_(std::move(path)), file_(file), block_bytes_(block_bytes), limit_bytes_(limit_bytes) {}

  bool read_head(std::string_view identity);
  Result<void> write_head(std::string_view identity);
  void scan();
  bool is_sound(const Header& header, int64_t offset) const;
  int64_t record_bytes(const BlockName& name) const;
  int64_t take_place(int64_t bytes);
  void forget(int64_t first, int64_t end);  // all records that have bytes in this range
  Error failed(const char* what) const;

  std::string path_;
  int file_;
  int64_t block_bytes_;
  int64_t limit_bytes_;
  uint64_t generation_ = 0;
  uint64_t next_serial_ = 1;
  int64_t write_offset_ = kPageBytes;
  std::vector<std::byte> buffer_;  // one record

  // Guards what follows; it is never held while the disk is waited for.
  mutable std::mutex mutex_;
  std::map<int64_t, Place> places_;                // by offset
  std::unordered_map<uint64_t, int64_t> offsets_;  // by the name's hash
};

}  // namespace octavo
