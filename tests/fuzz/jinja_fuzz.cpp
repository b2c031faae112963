// libFuzzer target: any bytes as a template, rendered with a short conversation and some variables.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const octavo::text::ChatTemplateInput input = [] {
    octavo::text::ChatTemplateInput made;
    made.messages = nlohmann::ordered_json::parse(
        R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null}])");
    made.extra = nlohmann::ordered_json::parse(
        R"({"s": "a b\u00e9", "l": [3, 1, 2], "d": {"k": {"n": 1.5}}, "t": true, "i": -7})");
    return made;
  }();
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = octavo::text::ChatTemplate::parse(source);
  if (parsed.ok()) (void)parsed->render(input);
  return 0;
}
