// Both kinds of runs: reservations, and the project's own scheduler.
#include <gtest/gtest.h>

#include "simulate/lengths.h"
#include "simulate/paged_run.h"
#include "simulate/reserved_run.h"

namespace octavo::simulate {
namespace {

// OPT-13B in f16 with 12 GiB for K and V, as in the paper.
Machine opt_13b() {
  return {.group_token_bytes = 800 << 10,
          .memory_bytes = int64_t{12} << 30,
          .context_length = 2048,
          .batch_tokens = 2048,
          .max_sequences = 1024};
}

// A token is a byte, a step a second.
Machine tiny(int64_t slots) {
  return {.group_token_bytes = 1,
          .memory_bytes = slots,
          .context_length = 64,
          .batch_tokens = 64,
          .max_sequences = 16,
          .step_time = {.weights_ms = 1000, .token_us = 0, .kv_token_ns = 0}};
}

Workload equal_requests(int count, int32_t prompt, int32_t output) {
  return {.requests = std::vector<Request>(static_cast<size_t>(count),
                                           {.prompt_length = prompt, .output_length = output})};
}

Workload sharegpt(int32_t count) {
  return draw_workload(kShareGpt, count, 2048, 1).value();
}

double sum_of_shares(const Measurement& m) {
  return m.tokens + m.reserved + m.never_used + m.rest;
}

TEST(ReservedRun, AveragesOverSteps) {
  // One request fits at a time. Its two steps hold 4 and 5 tokens, the second draws its last.
  const Workload workload = equal_requests(20, 4, 2);
  const Measurement exact = run_reserved(tiny(8), workload, Reservation::true_length);
  EXPECT_DOUBLE_EQ(exact.tokens, 4.5 / 8);
  EXPECT_DOUBLE_EQ(exact.reserved, 0.5 / 8);
  EXPECT_DOUBLE_EQ(exact.never_used, 0);
  EXPECT_DOUBLE_EQ(exact.rest, 3.0 / 8);  // the range of 5 is rounded up to 8
  EXPECT_DOUBLE_EQ(exact.tokens_of_taken, 4.5 / 5);
  EXPECT_DOUBLE_EQ(exact.batch_requests, 1);
  EXPECT_DOUBLE_EQ(exact.output_tokens_per_s, 1);
  EXPECT_EQ(exact.requests, 20);
  EXPECT_EQ(exact.sequence_steps, 40);
  EXPECT_DOUBLE_EQ(exact.simulated_s, 40);

  // The prompt and a power of two: 4 + 2. The length of a context: 64.
  const Measurement power = run_reserved(tiny(8), workload, Reservation::power_of_two);
  EXPECT_DOUBLE_EQ(power.never_used, 1.0 / 8);
  EXPECT_DOUBLE_EQ(power.rest, 2.0 / 8);
  const Measurement longest = run_reserved(tiny(64), workload, Reservation::longest);
  EXPECT_DOUBLE_EQ(longest.never_used, 59.0 / 64);
  EXPECT_EQ(run_reserved(tiny(8), workload, Reservation::longest).refused, 20);
}

TEST(ReservedRun, ComputesPromptsInChunksAndNextTokensFirst) {
  Machine machine = tiny(128);
  machine.batch_tokens = 4;
  // Alone: chunks of 4, 4 and 2 with the first token, then two more.
  const Measurement alone =
      run_reserved(machine, equal_requests(1, 10, 3), Reservation::true_length);
  EXPECT_EQ(alone.sequence_steps, 5);
  EXPECT_DOUBLE_EQ(alone.simulated_s, 5);
  // A second fills what the first leaves: 2 + 2, 3 + 1, 3 + 1, then 4 of 10 - 8 and the rest.
  const Measurement both =
      run_reserved(machine, equal_requests(2, 10, 3), Reservation::true_length);
  EXPECT_EQ(both.requests, 2);
  EXPECT_DOUBLE_EQ(both.simulated_s, 8);
}

TEST(PagedRun, AveragesOverSteps) {
  // As above, in two blocks of 4: the first step takes one, the second the other.
  const Measurement m =
      run_paged(tiny(8), equal_requests(20, 4, 2), {.block_size = 4, .prefix_cache = false});
  EXPECT_DOUBLE_EQ(m.tokens, 4.5 / 8);
  EXPECT_DOUBLE_EQ(m.reserved, 0);
  EXPECT_DOUBLE_EQ(m.never_used, 1.5 / 8);
  EXPECT_DOUBLE_EQ(m.rest, 2.0 / 8);
  EXPECT_DOUBLE_EQ(m.batch_requests, 1);
  EXPECT_EQ(m.requests, 20);
  EXPECT_EQ(m.sequence_steps, 40);
}

TEST(PagedRun, ServesEveryRequestOnce) {
  const Workload workload = sharegpt(300);
  int64_t outputs = 0;
  for (const Request& request : workload.requests) outputs += request.output_length;
  Machine machine = opt_13b();
  machine.memory_bytes = int64_t{2} << 30;  // 2,621 tokens: much is preempted
  const Measurement m = run_paged(machine, workload, {});
  EXPECT_EQ(m.requests, 300);
  EXPECT_EQ(m.refused, 0);
  EXPECT_GT(m.preemptions, 0);
  // One token a sequence and step, and some steps that compute a part of a prompt.
  EXPECT_GE(m.sequence_steps, outputs);
  EXPECT_LE(m.sequence_steps, outputs + 2 * (300 + m.preemptions));
}

TEST(PagedRun, CountsWhatIsRefused) {
  Workload workload = equal_requests(3, 30, 10);
  workload.requests[1].prompt_length = 60;  // with its output longer than the context
  workload.requests[2].prompt_length = 50;  // longer than the memory
  const Measurement paged = run_paged(tiny(48), workload, {});
  EXPECT_EQ(paged.requests, 1);
  EXPECT_EQ(paged.refused, 2);
  const Measurement reserved = run_reserved(tiny(48), workload, Reservation::true_length);
  EXPECT_EQ(reserved.requests, 0);  // 39 tokens are rounded up to 64
  EXPECT_EQ(reserved.refused, 3);
}

TEST(PagedRun, FindsTextThatIsNamedAlike) {
  Workload workload = equal_requests(3, 1000, 4);
  workload.requests[0].pieces = {1, 2};
  workload.requests[1].pieces = {1, 3};
  workload.requests[2].pieces = {1, 2};
  for (int i = 0; i < 3; ++i) workload.requests[static_cast<size_t>(i)].arrival_s = 100 * i;
  Machine machine = tiny(8192);
  machine.context_length = 2048;
  machine.batch_tokens = 2048;
  const Measurement m = run_paged(machine, workload, {});
  EXPECT_EQ(m.prefix_query_tokens, 3000);
  // The second finds the first piece; the third all whole blocks before its last token.
  EXPECT_GE(m.prefix_hit_tokens, 512 + 992);
  EXPECT_LE(m.prefix_hit_tokens, 512 + 999);
  EXPECT_EQ(run_paged(machine, workload, {.prefix_cache = false}).prefix_hit_tokens, 0);
}

TEST(PagedRun, FindsInTheHostsMemoryWhatLeftItsOwn) {
  // Ten texts in turn, of which the memory holds two and the host's memory all.
  Workload workload = equal_requests(60, 512, 4);
  for (size_t i = 0; i < workload.requests.size(); ++i) {
    workload.requests[i].pieces = {static_cast<int32_t>(i % 10)};
    workload.requests[i].arrival_s = 100 * static_cast<double>(i);
  }
  Machine machine = tiny(1100);
  machine.context_length = 600;
  machine.batch_tokens = 600;
  const Measurement alone = run_paged(machine, workload, {});
  EXPECT_EQ(alone.prefix_hit_tokens, 0);
  machine.host_memory_bytes = 11000;
  const Measurement hosted = run_paged(machine, workload, {});
  EXPECT_GE(hosted.prefix_hit_tokens, 50 * 496);
  EXPECT_LE(hosted.prefix_hit_tokens, 50 * 511);
  // Moving takes time: 32 blocks out for each text and 32 in for those that are found.
  machine.step_time.host_token_us = 1e6;
  const Measurement slow = run_paged(machine, workload, {});
  EXPECT_GT(slow.simulated_s, hosted.simulated_s + 100);
}

TEST(PagedRun, CountsWhatOutputsShare) {
  // 64 prompt tokens in 4 blocks, one token more in a block of each output's own.
  Machine machine = tiny(4096);
  machine.context_length = 128;
  const Measurement m =
      run_paged(machine, equal_requests(200, 64, 17), {.prefix_cache = false, .outputs = 4});
  EXPECT_EQ(m.requests, 200);
  // In a first step everything is shared, 12 of 16; in the other 16 it is 12 of 20.
  EXPECT_GT(m.saved_by_sharing, 12.0 / 20);
  EXPECT_LT(m.saved_by_sharing, 12.0 / 16);
  EXPECT_DOUBLE_EQ(
      run_paged(machine, equal_requests(200, 64, 17), {.prefix_cache = false}).saved_by_sharing, 0);
}

TEST(PagedRun, ServesBeams) {
  const Workload workload = sharegpt(100);
  Machine machine = opt_13b();
  machine.memory_bytes = int64_t{4} << 30;
  const Measurement one = run_paged(machine, workload, {.beams = 1});
  const Measurement four = run_paged(machine, workload, {.beams = 4, .seed = 1});
  const Measurement samples = run_paged(machine, workload, {.outputs = 4});
  for (const Measurement& m : {one, four, samples}) {
    EXPECT_EQ(m.requests + m.refused, 100);
    EXPECT_NEAR(sum_of_shares(m), 1, 1e-9);
  }
  EXPECT_DOUBLE_EQ(one.saved_by_sharing, 0);
  // Beams share what their common ancestor wrote, not the prompt alone; at most three in four.
  EXPECT_GT(four.saved_by_sharing, samples.saved_by_sharing);
  EXPECT_LT(four.saved_by_sharing, 0.75);
  // Which of them survive is drawn from the seed.
  EXPECT_EQ(run_paged(machine, workload, {.beams = 4, .seed = 1}).saved_by_sharing,
            four.saved_by_sharing);
  EXPECT_NE(run_paged(machine, workload, {.beams = 4, .seed = 2}).saved_by_sharing,
            four.saved_by_sharing);
}

TEST(PagedRun, WaitsForRequestsToCome) {
  Workload workload = equal_requests(10, 4, 2);
  for (size_t i = 0; i < 10; ++i) workload.requests[i].arrival_s = 100 * static_cast<double>(i);
  EXPECT_DOUBLE_EQ(run_paged(tiny(64), workload, {}).simulated_s, 902);
  EXPECT_DOUBLE_EQ(run_reserved(tiny(64), workload, Reservation::true_length).simulated_s, 902);
}

// Slots are tokens, reserved, never used or the rest, and nothing else, whatever the machine.
TEST(Runs, AccountForTheWholeMemory) {
  const Workload workload = sharegpt(200);
  Machine windowed = opt_13b();
  windowed.groups = {GroupSpec{0}, GroupSpec{128}, GroupSpec{128}};
  windowed.group_token_bytes /= 4;
  for (const Machine& machine : {opt_13b(), windowed}) {
    for (const int32_t size : {1, 16, 256}) {
      const Measurement m = run_paged(machine, workload, {.block_size = size, .outputs = 2});
      EXPECT_NEAR(sum_of_shares(m), 1, 1e-9) << size;
      EXPECT_GE(m.rest, 0);
      EXPECT_GE(m.never_used, 0);
      EXPECT_EQ(m.requests, 200);
    }
  }
  for (const Reservation r :
       {Reservation::longest, Reservation::power_of_two, Reservation::true_length}) {
    EXPECT_NEAR(sum_of_shares(run_reserved(opt_13b(), workload, r)), 1, 1e-9);
  }
  EXPECT_NEAR(run_paged(opt_13b(), workload, {.block_size = 1}).tokens_of_taken, 1, 1e-9);
}

// The paper's order; and of the slots in blocks that are taken, those that hold a token.
TEST(Runs, HoldMoreTokensTheLessTheyReserve) {
  const Workload workload = sharegpt(1500);
  const Machine machine = opt_13b();
  const Measurement longest = run_reserved(machine, workload, Reservation::longest);
  const Measurement power = run_reserved(machine, workload, Reservation::power_of_two);
  const Measurement exact = run_reserved(machine, workload, Reservation::true_length);
  const Measurement blocks = run_paged(machine, workload, {});
  EXPECT_LT(longest.tokens, power.tokens);
  EXPECT_LT(power.tokens, exact.tokens);
  EXPECT_LT(exact.tokens, blocks.tokens);
  EXPECT_LT(longest.batch_requests, power.batch_requests);
  EXPECT_LT(power.batch_requests, exact.batch_requests);
  EXPECT_LT(exact.batch_requests, blocks.batch_requests);
  EXPECT_LT(longest.output_tokens_per_s, power.output_tokens_per_s);
  EXPECT_LT(power.output_tokens_per_s, exact.output_tokens_per_s);
  EXPECT_LT(exact.output_tokens_per_s, blocks.output_tokens_per_s);
  EXPECT_NEAR(longest.batch_requests, 7, 1e-9);  // 7 * 2048 of 15,728 slots

  EXPECT_GT(blocks.tokens, 0.95);  // what is free is kept for running sequences to grow into
  EXPECT_GT(blocks.tokens_of_taken, 0.96);
  EXPECT_GT(run_paged(machine, workload, {.block_size = 8}).tokens_of_taken, 0.98);
}

}  // namespace
}  // namespace octavo::simulate
