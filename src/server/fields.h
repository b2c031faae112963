// Fields: the members of a JSON object as typed values, with errors that name them.
//
// A null counts as absent. Remembers which names were asked for, so that the rest can be told. The
// object must outlive it. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/result.h"
#include "server/json_body.h"

namespace octavo::server {

class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  // Null pointer when it is absent.
  const Json* find(std::string_view name);

  Result<bool> flag(std::string_view name, bool fallback);
  Result<std::string> text(std::string_view name, std::string_view fallback);
  Result<int64_t> integer(std::string_view name, int64_t minimum, int64_t maximum,
                          int64_t fallback);

  // A field that would change the answer and is not there yet: an error where it asks for
  // something, that is, where it is none of the `harmless` values; without such a list, where it is
  // neither false nor empty.
  Result<void> refuse(std::string_view name, const std::vector<Json>& harmless = {});
  Result<void> refuse_all(const std::vector<std::string_view>& names);

  // Names that nobody asked for, in order.
  std::vector<std::string> unknown() const;

 private:
  const Json& object_;
  std::set<std::string, std::less<>> known_;
};

// The same error, about `to` if it was about the field `from`: where the engine's word for a field
// is not the API's.
Error rename_field(const Error& error, std::string_view from, std::string_view to);

}  // namespace octavo::server
