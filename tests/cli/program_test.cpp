// The built program as a user calls it: output, one-line errors, exit codes.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace octavo::cli {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  std::string out;
  std::string err;
  int code = -1;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Program : public testing::Test {
 protected:
  Program()
      : folder_(fs::temp_directory_path() / ("octavo_program_" + std::to_string(getpid()))),
        model_((fs::path(OCTAVO_TEST_DATA) / "golden" / "llama.gguf").string()) {
    fs::create_directories(folder_);
  }
  ~Program() override { fs::remove_all(folder_); }

  // `arguments` as a shell reads them; standard input is empty unless they say otherwise.
  Outcome run(const std::string& arguments, const std::string& environment = "") {
    const fs::path out = folder_ / "out";
    const fs::path err = folder_ / "err";
    std::string input = arguments.find('<') == std::string::npos ? " < /dev/null" : "";
    const std::string command = environment + " '" OCTAVO_PROGRAM "' " + arguments + input +
                                " > '" + out.string() + "' 2> '" + err.string() + "'";
    const int status = std::system(command.c_str());
    return {read_file(out), read_file(err), WIFEXITED(status) ? WEXITSTATUS(status) : -1};
  }

  std::string write(const std::string& name, const std::string& content) {
    const fs::path path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

  // Exit code 2 and one line on standard error that holds `part`.
  void expect_refused(const std::string& arguments, const std::string& part) {
    const Outcome result = run(arguments);
    EXPECT_EQ(result.code, 2) << arguments << "\n" << result.err;
    EXPECT_TRUE(result.err.starts_with("octavo: ")) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << arguments << "\n" << result.err;
    EXPECT_TRUE(result.out.empty()) << arguments << "\n" << result.out;
  }

  fs::path folder_;
  std::string model_;
};

TEST_F(Program, HelpAndVersion) {
  EXPECT_EQ(run("--version").code, 0);
  EXPECT_TRUE(run("--version").out.starts_with("octavo "));
  const Outcome help = run("help");
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"run", "generate", "perplexity", "inspect", "tokenize"}) {
    EXPECT_NE(help.out.find(command), std::string::npos);
    EXPECT_EQ(run(std::string("help ") + command).code, 0);
  }
  const Outcome manual = run("help --man");
  EXPECT_EQ(manual.code, 0);
  EXPECT_TRUE(manual.out.starts_with(".TH OCTAVO 1") || manual.out.find(".TH") < 200) << manual.out;
  EXPECT_NE(manual.out.find("kv\\-memory"), std::string::npos);
}

TEST_F(Program, RefusesWhatItCannotUseInOneLine) {
  expect_refused("flie", "flie");
  expect_refused("run", "MODEL");
  expect_refused("run /nowhere/m.gguf --prompt a", "/nowhere/m.gguf");
  expect_refused("run " + model_ + " --prompt a --threads many", "threads");
  expect_refused("run " + model_ + " --prompt a --temperature -1", "temperature");
  expect_refused("run " + model_ + " --prompt a --kv-dtype q9", "kv-dtype");
  expect_refused("run " + model_ + " --no-such-flag", "--no-such-flag");
  expect_refused("inspect " + write("text.gguf", "not a model"), "text.gguf");
  expect_refused("inspect " + write("empty.gguf", ""), "empty.gguf");
  expect_refused("inspect " + folder_.string(), folder_.string());
  expect_refused("tokenize " + folder_.string() + " a", folder_.string());
}

TEST_F(Program, RunAnswersOnceWithoutATerminal) {
  const std::string flags = " --raw --temperature 0 --max-tokens 8 --ignore-eos";
  const Outcome from_flag = run("run " + model_ + flags + " --prompt hello");
  EXPECT_EQ(from_flag.code, 0) << from_flag.err;
  EXPECT_FALSE(from_flag.out.empty());
  const Outcome from_input = run("run " + model_ + flags + " < " + write("prompt", "hello"));
  EXPECT_EQ(from_input.out, from_flag.out);
}

TEST_F(Program, TheInstructionSetCanBeForced) {
  const std::string arguments =
      "run " + model_ + " --raw --temperature 0 --max-tokens 8 --ignore-eos --prompt hello";
  const Outcome best = run(arguments);
  const Outcome scalar = run(arguments, "OCTAVO_FORCE_ISA=scalar");
  EXPECT_EQ(scalar.code, 0) << scalar.err;
  EXPECT_EQ(scalar.out, best.out);  // every table gives the same bits
  const Outcome unknown = run(arguments, "OCTAVO_FORCE_ISA=mmx");
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("mmx"), std::string::npos) << unknown.err;
}

TEST_F(Program, GenerateKeepsTheOrderAndReportsWhatWasRefused) {
  std::string prompts;
  for (int i = 0; i < 12; ++i) {
    prompts += R"({"prompt": "abc", "temperature": 0, "ignore_eos": true, "max_tokens": )" +
               std::to_string(12 - i) + "}\n";
  }
  prompts += R"({"prompt": "abc", "max_tokens": 1000000})";
  const std::string output = (folder_ / "answers").string();
  const Outcome result = run("generate " + model_ + " --prompts " +
                             write("prompts.jsonl", prompts) + " --output " + output);
  EXPECT_EQ(result.code, 1) << result.err;  // one was refused
  std::ifstream file(output);
  std::string line;
  int index = 0;
  for (; std::getline(file, line); ++index) {
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json.at("index"), index);
    if (index == 12) {
      EXPECT_NE(json.at("error").get<std::string>().find("1000000"), std::string::npos);
    } else {
      EXPECT_EQ(json.at("outputs").at(0).at("tokens"), 12 - index);
      EXPECT_EQ(json.at("outputs").at(0).at("finish_reason"), "length");
    }
  }
  EXPECT_EQ(index, 13);
  expect_refused("generate " + model_ + " --prompts " + write("bad", "{\"prompt\": 1}"), "bad:1: ");
  expect_refused("generate " + model_ + " --prompts /nowhere/prompts", "/nowhere/prompts");
}

TEST_F(Program, PerplexityOfRandomWeightsIsNearTheVocabulary) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "word " + std::to_string(i * 7919 % 1000) + ", ";
  const Outcome result =
      run("perplexity " + model_ + " " + write("text", text) + " --chunk 64 --json");
  ASSERT_EQ(result.code, 0) << result.err;
  const double perplexity = nlohmann::json::parse(result.out).at("perplexity");
  // The model knows nothing: its guesses are worse than uniform over 288 tokens, not by orders.
  EXPECT_GT(perplexity, 288.0 / 4);
  EXPECT_LT(perplexity, 288.0 * 100);
  expect_refused("perplexity " + model_ + " " + write("short", "a"), "chunk");
}

TEST_F(Program, InspectAndTokenizeSpeakJson) {
  const auto inspected = nlohmann::json::parse(run("inspect --json " + model_).out);
  EXPECT_TRUE(inspected.is_object());
  const auto tokens = nlohmann::json::parse(run("tokenize --json " + model_ + " 'ab c'").out);
  EXPECT_FALSE(tokens.empty());
}

}  // namespace
}  // namespace octavo::cli
