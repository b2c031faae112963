#include "gguf/builtin_model.h"

#include <cstddef>

#include "base/error.h"

#ifdef OCTAVO_BUILTIN_MODEL
// The assembler puts the file between two symbols, among the constants, which the system loads page
// by page as they are read. GGUF aligns tensors to 32 bytes from the file's start; a cache line is
// a multiple of that.
__asm__(
    ".pushsection .rodata\n"
    ".balign 64\n"
    "octavo_builtin_model:\n"
    ".incbin \"" OCTAVO_BUILTIN_MODEL
    "\"\n"
    "octavo_builtin_model_end:\n"
    ".byte 0\n"
    ".global octavo_builtin_model, octavo_builtin_model_end\n"
    ".popsection\n");

extern "C" {
extern const std::byte octavo_builtin_model[];      // NOLINT(readability-identifier-naming)
extern const std::byte octavo_builtin_model_end[];  // NOLINT(readability-identifier-naming)
}
#endif

namespace octavo::gguf {

Result<File> open_model(const std::string& name) {
  if (name != builtin_model_name) return File::open(name);
#ifdef OCTAVO_BUILTIN_MODEL
  return File::parse(name, octavo_builtin_model,
                     static_cast<size_t>(octavo_builtin_model_end - octavo_builtin_model));
#else
  return not_found(
      "no model was named, and none is built in (OCTAVO_EMBED_MODEL=OFF): give a GGUF file");
#endif
}

}  // namespace octavo::gguf
