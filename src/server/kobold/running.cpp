#include "server/kobold/running.h"

namespace octavo::server {

std::string RunningGenerations::name_of(const Exchange& exchange, std::string_view key) {
  std::string name(exchange.request().header("Authorization").value_or(""));
  name += '\0';
  name += key;
  return name;
}

RunningGenerations::Entry::Entry(RunningGenerations& all, const Exchange& exchange,
                                 std::string_view key, Generation& generation)
    : all_(all), name_(key.empty() ? "" : name_of(exchange, key)), generation_(generation) {
  const std::lock_guard lock(all_.mutex_);
  if (!name_.empty()) all_.entries_[name_] = this;
}

RunningGenerations::Entry::~Entry() {
  const std::lock_guard lock(all_.mutex_);
  const auto found = all_.entries_.find(name_);
  if (found != all_.entries_.end() && found->second == this) all_.entries_.erase(found);
}

void RunningGenerations::Entry::append(std::string_view text) {
  const std::lock_guard lock(all_.mutex_);
  text_ += text;
}

std::string RunningGenerations::text(const Exchange& exchange, std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name_of(exchange, key));
  return found == entries_.end() ? "" : found->second->text_;
}

bool RunningGenerations::cancel(const Exchange& exchange, std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name_of(exchange, key));
  if (found == entries_.end()) return false;
  found->second->generation_.cancel();
  return true;
}

}  // namespace octavo::server
