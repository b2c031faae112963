#include "server/complain.h"

#include <cstdio>

namespace octavo::server {

void complain(const std::string& message) {
  // One call, so that the lines of two threads do not mix.
  const std::string line = "octavo: " + message + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void log_debug(const std::string& message) {
  complain("debug: " + message);
}

}  // namespace octavo::server
