// Bodies of the neighbours' APIs with random bytes changed: always one well-formed answer.
#include <random>

#include "server/neighbour_fixture.h"

namespace octavo::server {
namespace {

constexpr int kMutations = 400;  // of each body

class NeighbourMutationTest : public NeighbourTest {
 protected:
  // One to four bytes changed, dropped or doubled.
  std::string mutate(std::string body) {
    std::uniform_int_distribution<int> times(1, 4);
    for (int i = times(random_); i > 0 && !body.empty(); --i) {
      const size_t at = std::uniform_int_distribution<size_t>(0, body.size() - 1)(random_);
      switch (std::uniform_int_distribution<int>(0, 3)(random_)) {
        case 0:
          body[at] = static_cast<char>(std::uniform_int_distribution<int>(0, 255)(random_));
          break;
        case 1:
          body.erase(at, 1);
          break;
        case 2:
          body.insert(at, 1,
                      "0-9e.[]{}\",:n"[std::uniform_int_distribution<size_t>(0, 12)(random_)]);
          break;
        default:
          body.insert(at, body.substr(at, 8));
      }
    }
    return body;
  }

  void attack(const std::string& path, const Json& body) {
    const std::string valid = body.dump();
    for (int i = 0; i < kMutations; ++i) {
      const std::string mutated = mutate(valid);
      const auto exchange = ask("POST", path, mutated);
      const HttpResponse& response = exchange->response;
      const bool is_fine = response.status == 200 || response.status == 400 ||
                           response.status == 422 || response.status == 429;
      ASSERT_TRUE(is_fine) << "seed " << seed_ << ": " << response.status << "\n" << mutated;
      if (exchange->streamed) continue;
      ASSERT_FALSE(Json::parse(response.body, nullptr, false).is_discarded())
          << "seed " << seed_ << ": " << response.body;
    }
  }

  const unsigned seed_ = std::random_device()();
  std::mt19937 random_{seed_};
};

TEST_F(NeighbourMutationTest, LlamaCpp) {
  attack("/completion", {{"prompt", {1, "a", 2}},
                         {"n_predict", 1},
                         {"temperature", 0.5},
                         {"top_k", 4},
                         {"stop", {"x"}},
                         {"logit_bias", {{5, -1.5}, {"a", false}}},
                         {"n_probs", 2},
                         {"seed", -1}});
}

TEST_F(NeighbourMutationTest, Tgi) {
  const Json body = {{"inputs", "a"},
                     {"parameters",
                      {{"max_new_tokens", 1},
                       {"do_sample", true},
                       {"details", true},
                       {"best_of", 2},
                       {"stop", {"x"}},
                       {"truncate", 3},
                       {"top_n_tokens", 1}}}};
  attack("/generate", body);
  attack("/generate_stream", {{"inputs", "a"}, {"parameters", {{"max_new_tokens", 1}}}});
}

TEST_F(NeighbourMutationTest, Kobold) {
  const Json body = {{"prompt", "a"},
                     {"memory", "b"},
                     {"max_length", 1},
                     {"rep_pen", 1.1},
                     {"max_context_length", 64},
                     {"stop_sequence", {"x"}},
                     {"genkey", "key"},
                     {"logit_bias", {{"5", 1}}}};
  attack("/api/v1/generate", body);
  attack("/api/extra/generate/stream", body);
  attack("/api/extra/generate/check", {{"genkey", "key"}});
  attack("/api/extra/tokencount", {{"prompt", "a"}});
}

}  // namespace
}  // namespace octavo::server
