// What whoever runs the server should know, or asked to know, on standard error. Any thread.
#pragma once

#include <string>

namespace octavo::server {

// Prints "octavo: message".
void complain(const std::string& message);

// Prints "octavo: debug: message", for log-level debug; the caller looks whether it is that.
void log_debug(const std::string& message);

}  // namespace octavo::server
