#include "server/http/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "server/complain.h"

namespace octavo::server {
namespace {

constexpr size_t kMostKeys = 10'000;
constexpr size_t kLongestKey = 512;
constexpr int64_t kLargestFile = int64_t{16} << 20;
constexpr int64_t kHighestLimit = 1'000'000'000'000;

ApiError too_many(std::string message, double seconds) {
  const int wait = std::max(1, static_cast<int>(std::ceil(seconds)));
  return {.status = 429,
          .message = std::move(message),
          .retry_after_seconds = wait,
          .reason = Rejection::key_limits};
}

// The next word of `line`, which loses it; empty at the end.
std::string_view next_word(std::string_view& line) {
  constexpr std::string_view kSpaces = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kSpaces), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kSpaces));
  line.remove_prefix(word.size());
  return word.starts_with('#') ? line = {} : word;
}

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::optional<std::string_view> presented_key(const HttpRequest& request) {
  constexpr std::string_view kScheme = "Bearer ";
  if (const auto value = request.header("Authorization")) {
    if (!boost::algorithm::istarts_with(*value, kScheme)) return std::nullopt;
    return value->substr(std::min(value->find_first_not_of(' ', kScheme.size()), value->size()));
  }
  return request.header("X-Api-Key");
}

}  // namespace

void KeyAccount::Spent::wear_off(int64_t per_minute, TimePoint now) {
  const double seconds = std::chrono::duration<double>(now - since).count();
  amount = std::max(0.0, amount - seconds * static_cast<double>(per_minute) / 60);
  since = now;
}

std::optional<ApiError> KeyAccount::enter(const KeyLimits& limits, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (limits.concurrent_requests > 0 && running_ >= limits.concurrent_requests) {
    return too_many(
        fmt::format("this key may have {} requests at once", limits.concurrent_requests), 1);
  }
  const auto tokens = static_cast<double>(limits.tokens_per_minute);
  tokens_.wear_off(limits.tokens_per_minute, now);
  if (limits.tokens_per_minute > 0 && tokens_.amount >= tokens) {
    return too_many(fmt::format("this key may use {} tokens a minute", limits.tokens_per_minute),
                    (tokens_.amount - tokens) / tokens * 60);
  }
  const auto requests = static_cast<double>(limits.requests_per_minute);
  requests_.wear_off(limits.requests_per_minute, now);
  if (limits.requests_per_minute > 0) {
    if (requests_.amount + 1 > requests) {
      return too_many(
          fmt::format("this key may send {} requests a minute", limits.requests_per_minute),
          (requests_.amount + 1 - requests) / requests * 60);
    }
    requests_.amount += 1;
  }
  ++running_;
  return std::nullopt;
}

void KeyAccount::leave() {
  const std::lock_guard lock(mutex_);
  --running_;
}

void KeyAccount::charge_tokens(const KeyLimits& limits, int64_t tokens, TimePoint now) {
  const std::lock_guard lock(mutex_);
  tokens_.wear_off(limits.tokens_per_minute, now);
  if (limits.tokens_per_minute > 0) tokens_.amount += static_cast<double>(tokens);
}

KeyUse::KeyUse(std::string name, KeyLimits limits, std::shared_ptr<KeyAccount> account)
    : name_(std::move(name)), limits_(limits), account_(std::move(account)) {}

KeyUse::~KeyUse() {
  if (account_) account_->leave();  // it was not moved from
}

void KeyUse::charge(const Usage& usage, KeyAccount::TimePoint now) {
  account_->charge_tokens(limits_, usage.prompt_tokens + usage.generated_tokens, now);
}

Result<std::unique_ptr<ApiKeys>> ApiKeys::open(const std::string& path) {
  std::unique_ptr<ApiKeys> keys(new ApiKeys(path));
  OCTAVO_ASSIGN(keys->version_, keys->version());
  OCTAVO_TRY(keys->load());
  return keys;
}

ApiKeys::Digest ApiKeys::digest(std::string_view text) {
  Digest digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

// The errors do not quote the key.
Result<ApiKeys::Key> ApiKeys::parse_line(std::string_view line, int64_t number) {
  const std::string_view word = next_word(line);
  if (word.size() > kLongestKey) return invalid_input("a key of more than {} bytes", kLongestKey);
  if (!is_printable_ascii(word)) return invalid_input("a key has printable ASCII characters only");
  Key key{.digest = digest(word), .name = fmt::format("line-{}", number)};
  for (std::string_view more = next_word(line); !more.empty(); more = next_word(line)) {
    const size_t equals = std::min(more.find('='), more.size());
    const std::string_view what = more.substr(0, equals);
    const std::string_view value = more.substr(std::min(equals + 1, more.size()));
    if (what == "name") {
      if (value.empty() || !is_printable_ascii(value)) return invalid_input("name: ASCII letters");
      key.name = value;
      continue;
    }
    int64_t* limit = what == "requests-per-minute"   ? &key.limits.requests_per_minute
                     : what == "tokens-per-minute"   ? &key.limits.tokens_per_minute
                     : what == "concurrent-requests" ? &key.limits.concurrent_requests
                                                     : nullptr;
    if (limit == nullptr) {
      return invalid_input(
          "'{}' is not one of name=, requests-per-minute=, tokens-per-minute=, "
          "concurrent-requests=",
          printable(what));
    }
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *limit);
    if (error != std::errc() || end != value.data() + value.size() || *limit < 1 ||
        *limit > kHighestLimit) {
      return invalid_input("{}: '{}' is not a number from 1 to {}", what, printable(value),
                           kHighestLimit);
    }
  }
  return key;
}

Result<ApiKeys::Version> ApiKeys::version() const {
  struct stat status = {};
  if (::stat(path_.c_str(), &status) != 0) {
    return io_error("api-keys: {}: {}", path_, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) return invalid_input("api-keys: {} is not a file", path_);
  return Version{.seconds = status.st_mtim.tv_sec,
                 .nanoseconds = status.st_mtim.tv_nsec,
                 .bytes = status.st_size,
                 .inode = status.st_ino};
}

Result<void> ApiKeys::load() {
  std::ifstream file(path_);
  if (!file) return io_error("api-keys: {}: {}", path_, std::strerror(errno));
  if (version_.bytes > kLargestFile) {
    return invalid_input("api-keys: {}: more than {} bytes", path_, kLargestFile);
  }
  std::map<Digest, std::shared_ptr<KeyAccount>> accounts;
  for (const Key& key : keys_) accounts.emplace(key.digest, key.account);
  std::set<Digest> seen;
  std::vector<Key> keys;
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    std::string_view rest = line;
    if (next_word(rest).empty()) continue;
    Result<Key> key = parse_line(line, number);
    if (!key) return invalid_input("api-keys: {}:{}: {}", path_, number, key.error().message);
    if (keys.size() == kMostKeys) {
      return invalid_input("api-keys: {}:{}: more than {} keys", path_, number, kMostKeys);
    }
    if (!seen.insert(key->digest).second) {
      return invalid_input("api-keys: {}:{}: this key has a line above", path_, number);
    }
    const auto known = accounts.find(key->digest);
    key->account = known != accounts.end() ? known->second : std::make_shared<KeyAccount>();
    keys.push_back(std::move(key).value());
  }
  if (keys.empty()) return invalid_input("api-keys: {} has no keys", path_);
  keys_ = std::move(keys);
  return {};
}

void ApiKeys::reload_if_changed() {
  const Result<Version> now = version();
  // A file that is not there has a version, too, so that it is complained of once.
  const Version seen = now ? *now : Version{};
  if (seen == version_) return;
  version_ = seen;
  const Result<void> status = now ? load() : Result<void>(now.error());
  if (!status) complain(status.error().message + "; the keys of before stay");
}

// Looks at every key, so that the time does not tell which is alike.
std::optional<size_t> ApiKeys::find(std::string_view key) const {
  const Digest wanted = digest(key);
  std::optional<size_t> found;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (::CRYPTO_memcmp(keys_[i].digest.data(), wanted.data(), wanted.size()) == 0) found = i;
  }
  return found;
}

std::variant<KeyUse, ApiError> ApiKeys::admit(const HttpRequest& request,
                                              KeyAccount::TimePoint now) {
  const std::optional<std::string_view> presented = presented_key(request);
  if (!presented) {
    return ApiError{.status = 401, .message = "an API key is needed: Authorization: Bearer KEY"};
  }
  const std::lock_guard lock(mutex_);
  reload_if_changed();
  const std::optional<size_t> found = find(*presented);
  if (!found) return ApiError{.status = 401, .message = "this API key is not known here"};
  const Key& key = keys_[*found];
  if (auto refused = key.account->enter(key.limits, now)) return *std::move(refused);
  return KeyUse(key.name, key.limits, key.account);
}

}  // namespace octavo::server
