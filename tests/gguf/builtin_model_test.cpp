#include "gguf/builtin_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace octavo::gguf {
namespace {

TEST(BuiltinModel, IsReadWhereItLies) {
  const Result<File> file = open_model("builtin");
#ifdef OCTAVO_EMBED_MODEL
  ASSERT_TRUE(file.ok()) << file.error().message;
  const Result<File> original = File::open(OCTAVO_EMBED_MODEL);
  ASSERT_TRUE(original.ok()) << original.error().message;
  EXPECT_EQ(file->file_bytes(), original->file_bytes());
  EXPECT_EQ(file->metadata().keys(), original->metadata().keys());
  ASSERT_EQ(file->tensors().size(), original->tensors().size());
  // Opened twice, the tensors are at the same place: nothing was copied.
  const Result<File> again = open_model("builtin");
  ASSERT_TRUE(again.ok());
  for (const TensorInfo& tensor : file->tensors()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 32, 0u) << tensor.name;
    EXPECT_EQ(again->find_tensor(tensor.name)->data, tensor.data) << tensor.name;
    const TensorInfo* in_file = original->find_tensor(tensor.name);
    ASSERT_NE(in_file, nullptr) << tensor.name;
    EXPECT_TRUE(std::equal(tensor.data, tensor.data + tensor.bytes, in_file->data)) << tensor.name;
  }
#else
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message,
            "no model was named, and none is built in (OCTAVO_EMBED_MODEL=OFF): give a GGUF file");
#endif
}

TEST(BuiltinModel, AnyOtherNameIsAPath) {
  const Result<File> absent = open_model("./builtin");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().message.find("./builtin: "), 0u) << absent.error().message;
}

}  // namespace
}  // namespace octavo::gguf
