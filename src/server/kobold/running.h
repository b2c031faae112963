// Running generations by the key that their client gave them, so that it can ask for the text so
// far from another connection, or stop them.
//
// A key belongs to whoever sends the same Authorization header. While two generations have one key,
// the later one is found. Thread safety: any thread; a Generation is entered and left on its own.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "server/exchange.h"
#include "server/generation.h"

namespace octavo::server {

class RunningGenerations {
 public:
  // Found under its key from construction to destruction. An empty key is never found.
  class Entry {
   public:
    Entry(RunningGenerations& all, const Exchange& exchange, std::string_view key,
          Generation& generation);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();

    void append(std::string_view text);

   private:
    friend class RunningGenerations;
    RunningGenerations& all_;
    const std::string name_;
    Generation& generation_;
    std::string text_;  // guarded by all_.mutex_
  };

  // Empty when there is none.
  std::string text(const Exchange& exchange, std::string_view key);
  // False when there is none.
  bool cancel(const Exchange& exchange, std::string_view key);

 private:
  static std::string name_of(const Exchange& exchange, std::string_view key);

  std::mutex mutex_;
  std::map<std::string, Entry*, std::less<>> entries_;
};

}  // namespace octavo::server
