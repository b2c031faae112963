// What whoever runs the server should know, on standard error. Any thread.
#pragma once

#include <string>

namespace octavo::server {

// Prints "octavo: message".
void complain(const std::string& message);

}  // namespace octavo::server
