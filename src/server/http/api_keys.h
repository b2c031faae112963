// ApiKeys: who may ask, and how much, as a file says.
//
// A line of the file is a key and, if wanted, words about it; # begins a comment:
//
//     sk-3f9c27ae51d0  name=alice requests-per-minute=60 tokens-per-minute=20000
//     concurrent-requests=4
//
//   name                 stands for the key in the access log; line-N without it
//   requests-per-minute  a minute's worth may come at once, the rest evenly
//   tokens-per-minute    of prompts and answers, counted when a request is over: one that starts
//   may
//                        overdraw, and those after it wait until the debt is worn off
//   concurrent-requests  being answered at once
//
// What is not said is not limited. A key has 1 to 512 printable ASCII characters and no spaces; a
// file has at most 10,000 of them.
//
// The file is looked at before each request and read again when it has changed. While it cannot be
// read, or has a mistake, the keys of before stay good, and standard error says why. What a key has
// used stays with it. Memory holds SHA-256 of the keys, which are compared in constant time.
//
// Thread safety: every method may be called from any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "octavo/result.h"
#include "server/api_error.h"
#include "server/exchange.h"

namespace octavo::server {

struct KeyLimits {  // 0: none
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;
  int64_t concurrent_requests = 0;
};

// What one key has used of late.
class KeyAccount {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Counts a request in, or says why not: 429.
  std::optional<ApiError> enter(const KeyLimits& limits, TimePoint now);
  void leave();
  void charge_tokens(const KeyLimits& limits, int64_t tokens, TimePoint now);

 private:
  // An amount that is worn off at an even rate.
  struct Spent {
    double amount = 0;
    TimePoint since{};

    void wear_off(int64_t per_minute, TimePoint now);
  };

  std::mutex mutex_;
  Spent requests_;
  Spent tokens_;
  int64_t running_ = 0;
};

// A request that was counted in; counts it out at its end.
class KeyUse {
 public:
  KeyUse(std::string name, KeyLimits limits, std::shared_ptr<KeyAccount> account);
  KeyUse(KeyUse&&) = default;
  KeyUse& operator=(KeyUse&&) = delete;
  ~KeyUse();

  const std::string& name() const { return name_; }
  void charge(const Usage& usage, KeyAccount::TimePoint now);

 private:
  std::string name_;
  KeyLimits limits_;
  std::shared_ptr<KeyAccount> account_;
};

class ApiKeys {
 public:
  // The errors name the file and line.
  static Result<std::unique_ptr<ApiKeys>> open(const std::string& path);

  // By `Authorization: Bearer KEY` or `X-Api-Key: KEY`: the key's use, or the answer in its place,
  // 401 or 429.
  std::variant<KeyUse, ApiError> admit(const HttpRequest& request, KeyAccount::TimePoint now);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Key {
    Digest digest{};
    std::string name;
    KeyLimits limits;
    std::shared_ptr<KeyAccount> account;
  };
  // What changes when the file does.
  struct Version {
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    int64_t bytes = 0;
    uint64_t inode = 0;
    bool operator==(const Version&) const = default;
  };

  explicit ApiKeys(std::string path) : path_(std::move(path)) {}
  static Digest digest(std::string_view text);
  static Result<Key> parse_line(std::string_view line, int64_t number);
  Result<Version> version() const;
  Result<void> load();
  void reload_if_changed();
  std::optional<size_t> find(std::string_view key) const;

  const std::string path_;
  std::mutex mutex_;  // guards what follows
  Version version_;   // what was looked at last, good or not
  std::vector<Key> keys_;
};

}  // namespace octavo::server
