// A folder for the files of one test, gone with it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace octavo {

class ScratchFolder {
 public:
  ScratchFolder() : path_(testing::TempDir() + "octavo-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace octavo
