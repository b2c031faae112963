// The built program from outside: exit codes, one-line errors, what goes to which stream.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace octavo::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() {
    std::string name = ::testing::TempDir() + "octavo_program_XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~ProgramTest() override { fs::remove_all(folder_); }

  // Runs the shell command line "octavo `arguments`"; standard input is empty unless it says else.
  Outcome run(const std::string& arguments, const std::string& before = "") const {
    const std::string command = before + "'" OCTAVO_PROGRAM "' " + arguments + " 2>'" +
                                (folder_ / "err").string() + "'" +
                                (before.empty() ? " </dev/null" : "");
    Outcome outcome;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return outcome;
    char buffer[4096];
    for (size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
      outcome.out.append(buffer, count);
    }
    const int status = pclose(pipe);
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    outcome.err = read_file(folder_ / "err");
    return outcome;
  }

  // Fails with this code, nothing on standard output and this one line on standard error.
  void expect_error(const std::string& arguments, int code, const std::string& line) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, code) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_EQ(outcome.err, "octavo: " + line + "\n") << arguments;
  }

  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return (folder_ / name).string();
  }

  const std::string model_ = "'" OCTAVO_TEST_DATA "/golden/llama.gguf'";
  fs::path folder_;
};

TEST_F(ProgramTest, SaysItsVersionAndHelps) {
  EXPECT_EQ(run("--version").out.substr(0, 7), "octavo ");
  for (const char* arguments : {"help", "--help", "help run", "generate --help", "help --man"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << arguments;
    EXPECT_NE(outcome.out, "") << arguments;
    EXPECT_EQ(outcome.err, "") << arguments;
  }
  EXPECT_EQ(run("help generate").out, run("generate -h").out);
}

TEST_F(ProgramTest, UsageErrorsAreOneLineWithAHint) {
  expect_error("", 2, "no command was given; see octavo help");
  expect_error("chat", 2, "unknown command 'chat'; see octavo help");
  expect_error("help chat", 2, "unknown command 'chat'; octavo help lists them");
  expect_error("help run serve", 2, "'run' has no command 'serve'");
  expect_error("--fast", 2, "unknown flag '--fast'; see octavo help");
  expect_error("run m.gguf --fast", 2, "run: unknown flag '--fast'; see octavo help run");
  expect_error("inspect m.gguf more", 2,
               "inspect: one argument too many: 'more'; see octavo help inspect");
  expect_error("perplexity", 2, "perplexity: FILE is required; see octavo help perplexity");
  expect_error("generate m.gguf", 2, "generate: --prompts is required; see octavo help generate");
  expect_error("run m.gguf --kv-memory much", 2,
               "run: --kv-memory: 'much' is not an amount of memory such as 512MiB or 2GiB; see "
               "octavo help run");
}

TEST_F(ProgramTest, ServeNamesTheFlagAtFault) {
  const std::string serve = "serve " + model_ + " ";
  expect_error(serve + "--port 65536", 2, "port: 65536 is not between 0 and 65535");
  expect_error(serve + "--port 0 --tls-cert c.pem", 2, "tls-key: it is missing beside tls-cert");
  expect_error(serve + "--port 0 --api-keys /dev/null", 2, "api-keys: /dev/null is not a file");
  expect_error(serve + "--port 0 --host 192.0.2.1", 1,
               "host: 192.0.2.1:0: Cannot assign requested address");
}

TEST_F(ProgramTest, BadFilesAndSettingsAreOneLine) {
  for (const char* command : {"run ", "inspect ", "tokenize "}) {
    const Outcome outcome = run(command + folder_.string() + "/absent.gguf");
    EXPECT_EQ(outcome.code, 2) << command;
    EXPECT_EQ(outcome.out, "") << command;
    EXPECT_NE(outcome.err.find("absent.gguf"), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  }
  const std::string bad = write("bad.gguf", "GGUFxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
  const Outcome outcome = run("inspect " + bad);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err.find("octavo: " + bad), 0u) << outcome.err;
  expect_error("run " + model_ + " --prompt a --temperature -1", 2,
               "temperature: -1 is not in [0, 100]");
  expect_error("run " + model_ + " --prompt a --logprobs 3", 2,
               "logprobs: a chat does not show them; octavo generate does");
  expect_error("run " + model_ + " --prompt a --batch-tokens 0", 2,
               "batch-tokens: 0 is not between 1 and 65536");
  EXPECT_EQ(run("run " + model_ + " --prompt a", "OCTAVO_FORCE_ISA=mmx ").code, 2);
}

TEST_F(ProgramTest, RunAnswersOnce) {
  const std::string flags = " --temperature 0 --max-tokens 8 --ignore-eos --raw";
  const Outcome flag = run("run " + model_ + flags + " --prompt 'hello there'");
  EXPECT_EQ(flag.code, 0) << flag.err;
  EXPECT_GT(flag.out.size(), 1u);
  EXPECT_TRUE(flag.out.ends_with('\n'));
  EXPECT_EQ(flag.err, "");
  const Outcome input = run("run " + model_ + flags, "echo 'hello there' | ");
  EXPECT_EQ(input.out, flag.out);
  const Outcome chat = run("run " + model_ + " --temperature 0 --max-tokens 8 --prompt hello");
  EXPECT_EQ(chat.code, 0) << chat.err;
  const Outcome system =
      run("run " + model_ + " --temperature 0 --max-tokens 8 --prompt hello --system 'a b c'");
  EXPECT_NE(system.out, chat.out);
}

TEST_F(ProgramTest, MakesAModelThatRuns) {
  const std::string file = (folder_ / "random.gguf").string();
  const std::string make = "make-model --preset test --type Q4_0 " + file;
  const Outcome made = run(make + " --vocab-from " + model_);
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.out.find(file + ": "), 0u) << made.out;
  const Outcome answer = run("run " + file + " --raw --max-tokens 8 --ignore-eos --prompt hello");
  EXPECT_EQ(answer.code, 0) << answer.err;
  EXPECT_GT(answer.out.size(), 1u);
  expect_error(make, 1, file + ": File exists");
  expect_error("make-model --preset test /absent/random.gguf", 1,
               "/absent/random.gguf: No such file or directory");
  expect_error("make-model --preset huge " + file, 2,
               "preset: 'huge' is not one of llama-8b, tiny-1b, test");
}

TEST_F(ProgramTest, AModelWhoseMakingIsInterruptedLeavesNoFile) {
  const std::string file = (folder_ / "random.gguf").string();
  const std::string err = (folder_ / "err").string();
  // 4.4 GB, of which the signal lets the first few be written.
  const std::string command = "'" OCTAVO_PROGRAM "' make-model --preset tiny-1b --type F32 '" +
                              file + "' 2>'" + err + "' & until [ -e '" + file +
                              "' ] || ! kill -0 $!; do sleep 0.01; done; kill -INT $!; wait $!";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 130);
  EXPECT_EQ(read_file(err), "octavo: " + file + ": Operation canceled\n");
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(ProgramTest, BenchPrintsATableAndWritesJson) {
  const std::string json = (folder_ / "figures.json").string();
  const std::string sizes = " --input-tokens 9,20 --output-tokens 4 --json " + json;
  const Outcome latency = run("bench latency " + model_ + " --batch-sizes 1,3 --repeats 1" + sizes);
  EXPECT_EQ(latency.code, 0) << latency.err;
  EXPECT_NE(latency.out.find("ms/token"), std::string::npos) << latency.out;
  Json figures = Json::parse(read_file(json));
  EXPECT_EQ(figures["measurements"].size(), 4u);
  EXPECT_GT(figures["measurements"][3]["decode_tokens_per_second"], 0);
  EXPECT_GT(figures["probe"]["copy_bytes_per_second"], 0);

  const Outcome throughput = run("bench throughput " + model_ +
                                 " --requests 6 --input-tokens 9 --output-tokens 5 --json " + json);
  EXPECT_EQ(throughput.code, 0) << throughput.err;
  figures = Json::parse(read_file(json));
  EXPECT_EQ(figures["load"]["output_tokens"], 30);
  EXPECT_GE(figures["utilisation"]["steps"], 5);

  const std::string trace = write("trace.csv",
                                  "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                  "2023-11-16 18:15:46.6805900,7,3\n"
                                  "2023-11-16 18:15:50.9951690,100000,3\n"
                                  "2023-11-16 18:15:51.2224670,8,2\n");
  const Outcome replayed =
      run("bench throughput " + model_ + " --json " + json + " --trace " + trace);
  EXPECT_EQ(replayed.code, 0) << replayed.err;
  figures = Json::parse(read_file(json));
  EXPECT_EQ(figures["load"]["prompt_tokens"], 15) << "the long one does not fit the context";
  EXPECT_EQ(figures["load"]["output_tokens"], 5);
}

TEST_F(ProgramTest, BenchSaysWhatIsWrong) {
  expect_error("bench", 2, "bench: what to measure was not given; see octavo help bench");
  expect_error("bench speed", 2, "bench: unknown command 'speed'; see octavo help bench");
  expect_error("bench latency m.gguf --fast", 2,
               "bench latency: unknown flag '--fast'; see octavo help bench latency");
  expect_error("bench serve --rate 0", 2,
               "bench serve: --rate: Value 0 not in range 1e-06 to 1000000; see octavo help bench "
               "serve");
  expect_error("bench latency /absent.gguf", 2, "/absent.gguf: No such file or directory");
  expect_error("help bench speed", 2, "'bench' has no command 'speed'");
  EXPECT_EQ(run("help bench latency").out, run("bench latency --help").out);
}

TEST_F(ProgramTest, TheInstructionSetCanBeForced) {
  const std::string arguments =
      "run " + model_ + " --raw --temperature 0 --max-tokens 8 --ignore-eos --prompt hello";
  const Outcome best = run(arguments + " </dev/null");
  const Outcome scalar = run(arguments + " </dev/null", "OCTAVO_FORCE_ISA=scalar ");
  EXPECT_EQ(scalar.code, 0) << scalar.err;
  EXPECT_FALSE(best.out.empty());
  EXPECT_EQ(scalar.out, best.out);  // every table of kernels gives the same bits
  const Outcome unknown = run(arguments + " </dev/null", "OCTAVO_FORCE_ISA=mmx ");
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("'mmx'"), std::string::npos) << unknown.err;
}

#ifdef OCTAVO_EMBED_MODEL
TEST_F(ProgramTest, WithoutAModelTheBuiltInOneIsUsed) {
  const Outcome answer = run("run --prompt 'Who are you?' --temperature 0 --max-tokens 32");
  EXPECT_EQ(answer.code, 0) << answer.err;
  EXPECT_NE(answer.out.find("Octavo"), std::string::npos) << answer.out;
  EXPECT_EQ(std::count(answer.err.begin(), answer.err.end(), '\n'), 2) << answer.err;
  EXPECT_NE(answer.err.find("Octavo demo 10M"), std::string::npos) << answer.err;
  EXPECT_NE(answer.err.find("octavo run model.gguf"), std::string::npos) << answer.err;

  EXPECT_NE(run("inspect").out.find("Octavo demo 10M"), std::string::npos);
  const Outcome generated = run("generate --prompts - --max-tokens 4", "echo 'Once' | ");
  EXPECT_EQ(generated.code, 0) << generated.err;
  // One argument is the text that is measured, but the model that tokenizes.
  const std::string text = write("text", std::string(400, 'a') + " hello there\n");
  const Outcome measured = run("perplexity " + text + " --chunk 64");
  EXPECT_EQ(measured.code, 0) << measured.err;
  EXPECT_EQ(run("perplexity builtin " + text + " --chunk 64").code, 0);
  const Outcome piped = run("tokenize --ids", "printf 'Hello' | ");
  EXPECT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(run("tokenize builtin --ids Hello").out, piped.out);
}
#else
TEST_F(ProgramTest, WithoutAModelTheErrorSaysHowToGiveOne) {
  expect_error("inspect", 2,
               "no model was named, and none is built in (OCTAVO_EMBED_MODEL=OFF): give a GGUF "
               "file");
}
#endif

TEST_F(ProgramTest, RunRefusesAPromptThatIsTooLong) {
  const Outcome outcome =
      run("run " + model_ + " --raw --context 16 --prompt '" + std::string(100, 'x') + "'");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("the context only 16"), std::string::npos) << outcome.err;
}

TEST_F(ProgramTest, GenerateAnswersEveryPrompt) {
  const std::string prompts =
      write("p.jsonl",
            "{\"prompt\": \"a\", \"n\": 2}\n{\"prompt\": \"b\", \"max_tokens\": 1000000}\n"
            "{\"messages\": [{\"role\": \"user\", \"content\": \"c\"}], \"logprobs\": 0}\n");
  const std::string output = (folder_ / "out.jsonl").string();
  const Outcome outcome =
      run("generate " + model_ + " --prompts " + prompts + " --max-tokens 4 --output " + output);
  EXPECT_EQ(outcome.code, 1) << "one prompt was refused";
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("3 of 3 prompts, 1 failed"), std::string::npos) << outcome.err;
  std::istringstream lines(read_file(output));
  std::vector<Json> results;
  for (std::string line; std::getline(lines, line);) results.push_back(Json::parse(line));
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0]["outputs"].size(), 2u);
  EXPECT_TRUE(results[1].contains("error"));
  EXPECT_TRUE(results[2]["outputs"][0].contains("logprobs"));

  const Outcome piped =
      run("generate " + model_ + " --prompts - --max-tokens 4 --seed 1", "printf 'a\\nb\\n' | ");
  EXPECT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(Json::parse(piped.out.substr(0, piped.out.find('\n')))["index"], 0);
}

TEST_F(ProgramTest, GenerateFindsABadLineBeforeItRuns) {
  const std::string prompts =
      write("p.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"x\": 1}\n");
  expect_error("generate " + model_ + " --prompts " + prompts, 2,
               prompts + ":2: unknown field 'x'");
  expect_error("generate " + model_ + " --prompts " + folder_.string() + "/none", 2,
               folder_.string() + "/none: no such file");
  expect_error("generate " + model_ + " --prompts " + prompts + " --top-p 2", 2,
               "top_p: 2 is not in (0, 1]");
}

TEST_F(ProgramTest, MeasuresPerplexity) {
  const std::string text = write("text", std::string(2000, 'a') + " hello there\n");
  const Outcome json = run("perplexity " + model_ + " " + text + " --chunk 64 --json");
  EXPECT_EQ(json.code, 0) << json.err;
  const Json result = Json::parse(json.out);
  EXPECT_GT(result["perplexity"].get<double>(), 1.0);
  EXPECT_EQ(result["scored_tokens"], result["chunks"].get<int64_t>() * 31);
  const Outcome plain = run("perplexity " + model_ + " " + text + " --chunk 64 --bytes 1K");
  EXPECT_EQ(plain.out.find("perplexity "), 0u);
  EXPECT_EQ(run("perplexity " + model_ + " " + text + " --chunk 4096").code, 2);
}

TEST_F(ProgramTest, TokenizesArgumentsAndStandardInput) {
  const Outcome argument = run("tokenize " + model_ + " --ids 'hello there'");
  EXPECT_EQ(argument.code, 0) << argument.err;
  EXPECT_EQ(argument.out.substr(0, 2), "1 ");  // BOS
  EXPECT_EQ(run("tokenize " + model_ + " --ids", "printf 'hello there' | ").out, argument.out);
  EXPECT_EQ(run("tokenize " + model_ + " --ids --no-bos 'hello there'").out,
            argument.out.substr(2));
  EXPECT_EQ(Json::parse(run("tokenize " + model_ + " --json hello").out)["tokens"][0]["id"], 1);
  EXPECT_EQ(run("tokenize " + model_ + " ''").out.substr(0, 8), "       1");
  EXPECT_EQ(run("tokenize " + model_ + " --ids --json a").code, 2);
  // A command's name is a text like any other.
  EXPECT_EQ(run("tokenize " + model_ + " --ids run").code, 0);
}

TEST_F(ProgramTest, Inspects) {
  EXPECT_TRUE(Json::parse(run("inspect " + model_ + " --json").out).contains("metadata"));
  EXPECT_NE(run("inspect " + model_ + " --memory 1GiB").out.find("in 1.0 GiB of memory"),
            std::string::npos);
}

TEST_F(ProgramTest, Simulates) {
  const std::string svg = (folder_ / "chart.svg").string();
  const Outcome text = run("simulate sharegpt --requests 50 --memory 2GiB --svg " + svg);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("\ntrue length "), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("million a second\n"), std::string::npos) << text.out;
  EXPECT_TRUE(read_file(svg).starts_with("<svg ")) << read_file(svg);

  const std::string trace = write("t.csv",
                                  "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                  "2023-11-16 18:15:46.6,30,4\n2023-11-16 18:15:50,20,4\n");
  for (const char* what : {"policies", "block-sizes", "sharing"}) {
    for (const char* when : {"full", "trace", "0.5"}) {
      const Outcome json =
          run("simulate " + trace + " --memory 8MiB --json --compare " + what + " --arrivals " +
              when + " --model '" OCTAVO_TEST_DATA "/golden/gemma3.gguf'");
      EXPECT_EQ(json.code, 0) << json.err;
      EXPECT_EQ(Json::parse(json.out)["workload"].get<std::string>().find("t.csv: 2 requests"), 0u);
    }
  }
  const std::string named =
      R"({"timestamp": 0, "input_length": 20, "output_length": 4, "hash_ids": [3]})";
  const Outcome pools = run("simulate - --compare pool-sizes --json",
                            "printf '%s\n' '" + named + "' '" + named + "' | ");
  EXPECT_EQ(Json::parse(pools.out)["rows"][5]["hit_percent"], 40);  // 16 of 20, once
}

TEST_F(ProgramTest, SimulateSaysWhatIsWrong) {
  expect_error("simulate", 2, "simulate: WORKLOAD is required; see octavo help simulate");
  expect_error(
      "simulate " + folder_.string() + "/absent", 2,
      folder_.string() + "/absent: no such file; a trace is expected, or sharegpt or alpaca");
  const std::string bad = write("bad", "TIMESTAMP,ContextTokens,GeneratedTokens\nx,1,1\n");
  expect_error("simulate " + bad, 2,
               bad + ":2: TIMESTAMP: 'x' is not a time such as 2023-11-16 18:15:46.68");
  expect_error("simulate sharegpt --block-size 0", 2,
               "simulate: --block-size: Value 0 not in range 1 to 256; see octavo help simulate");
  expect_error("simulate sharegpt --compare all", 2,
               "simulate: --compare: 'all' is not one of policies, block-sizes, sharing, "
               "pool-sizes; see octavo help simulate");
  expect_error("simulate sharegpt --memory 1MiB", 2,
               "--memory: 1048576 bytes hold 1 tokens; from a block of 16 to 67108864 can be "
               "simulated");
  expect_error("simulate sharegpt --arrivals trace", 2,
               "--arrivals: 'sharegpt' is no trace, whose times could be kept");
  expect_error("simulate sharegpt --arrivals -3", 2,
               "--arrivals: '-3' is not full, trace, or a number of requests a second above 0");
  expect_error("simulate sharegpt --svg " + folder_.string() + "/no/x.svg", 1,
               folder_.string() + "/no/x.svg: cannot be written");
  for (const char* flag : {"--layers 0", "--seed -1", "--requests x", "--weights-ms -1"}) {
    EXPECT_EQ(run(std::string("simulate sharegpt ") + flag).code, 2) << flag;
  }
}

TEST_F(ProgramTest, SaysWhenItCannotWrite) {
  const Outcome outcome = run("inspect " + model_ + " > /dev/full");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "octavo: standard output: No space left on device\n");
  const std::string prompts = write("p", "a\n");
  const Outcome generated =
      run("generate " + model_ + " --prompts " + prompts + " --output /dev/full --max-tokens 2");
  EXPECT_EQ(generated.code, 1);
  EXPECT_NE(generated.err.find("No space left on device"), std::string::npos) << generated.err;
}

TEST_F(ProgramTest, LeavesQuietlyWhenTheReaderDoes) {
  const Outcome outcome =
      run("tokenize " + model_ + " | head -c 1", "head -c 3000000 /dev/zero | tr '\\0' a | ");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out.size(), 1u);
}

TEST_F(ProgramTest, CtrlCStopsGenerate) {
  const std::string prompts = write("p", "a\nb\n");
  const Outcome outcome =
      run("generate " + model_ + " --prompts " + prompts + " --max-tokens 2000 --ignore-eos",
          "timeout --preserve-status -s INT 0.5 ");
  EXPECT_TRUE(outcome.code == 130 || outcome.code == 0) << outcome.code << outcome.err;
  if (outcome.code == 130) {
    EXPECT_NE(outcome.err.find("of 2 prompts"), std::string::npos);
  }
}

}  // namespace
}  // namespace octavo::cli
