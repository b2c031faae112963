// ByteBudget: how much memory many connections may hold together. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace octavo::server {

class ByteBudget {
 public:
  explicit ByteBudget(int64_t bytes) : left_(bytes) {}

  // False, and nothing taken, when there is not so much left.
  bool take(int64_t bytes) {
    if (left_.fetch_sub(bytes) >= bytes) return true;
    left_.fetch_add(bytes);
    return false;
  }
  void give_back(int64_t bytes) { left_.fetch_add(bytes); }

 private:
  std::atomic<int64_t> left_;
};

}  // namespace octavo::server
