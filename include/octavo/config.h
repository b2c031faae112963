// Every setting of the engine: one list, from which flags, help text, JSON and the manual are made.
#pragma once

#include <cstdint>
#include <string>

namespace octavo {

struct EngineConfig {
  // A GGUF file, or the first of its parts; "builtin" is the small model built into the program.
  std::string model_path = "builtin";

  std::string device = "cpu";
  std::string instruction_set;  // empty: the best this machine has
  bool deterministic = false;   // of a GPU; the CPU always is
  int64_t threads = 0;          // 0: one per processor
  int64_t context_length = 0;   // 0: the model's own
  std::string kv_dtype = "f16";
  int64_t kv_memory_bytes = 0;  // 0: enough for 8 full contexts, at most half of the memory, or
                                // what is free on a GPU
  int64_t kv_host_memory_bytes = 0;  // 0: no host tier; with a disk tier, a small one
  std::string kv_disk;               // file of the disk tier; empty: none
  int64_t kv_disk_bytes = 0;         // 0: 8 GiB
  int64_t block_size = 16;
  int64_t batch_tokens = 512;
  int64_t max_sequences = 256;
  int64_t max_queued = 1024;
  bool prefix_cache = true;
  int64_t kv_idle_seconds = 60;
};

// What one setting is. `minimum` and `maximum` bound the numeric ones.
struct ConfigField {
  const char* name;  // as a flag without the dashes
  const char* help;
  int64_t minimum = 0;
  int64_t maximum = 0;
  bool is_bytes = false;      // an amount of memory: 2GiB, 512MiB and the like are understood
  const char* zero = "auto";  // of an amount of memory: the word for 0
};

// Calls visitor(ConfigField, member) for each setting that a user can give, in the order of the
// manual. `Config` is EngineConfig or const EngineConfig.
template <class Config, class Visitor>
void visit_config(Config& config, Visitor&& visitor) {
  visitor(ConfigField{"device",
                      "Where to run: cpu, cuda (the first GPU), cuda:N, or auto: a GPU if there is "
                      "one."},
          config.device);
  visitor(ConfigField{"deterministic",
                      "On a GPU, compute each output in an order that does not depend on what else "
                      "is being served, as the CPU always does."},
          config.deterministic);
  visitor(ConfigField{"threads", "Threads that compute; 0: one per processor.", 0, 1024},
          config.threads);
  visitor(
      ConfigField{"context", "Longest prompt and answer together, in tokens; 0: the model's own.",
                  0, int64_t{1} << 28},
      config.context_length);
  visitor(
      ConfigField{
          "kv-dtype",
          "Type of cached keys and values: f32, f16, bf16, q8_0 or iq4_nl; on a GPU one of the "
          "first three."},
      config.kv_dtype);
  visitor(
      ConfigField{
          "kv-memory",
          "Limit of the KV cache in bytes, or as 512MiB or 2G; auto: enough for 8 full contexts, "
          "at most half of the machine's memory or what a GPU has free. Memory is taken as it is "
          "used.",
          0, int64_t{1} << 50, true},
      config.kv_memory_bytes);
  visitor(
      ConfigField{
          "kv-host-memory",
          "Keep blocks that leave the KV cache in this much more memory, taken as it is used, "
          "and let preempted outputs go on from there; off: they are computed again. With "
          "--kv-disk, off means 256 MiB on the way to the disk.",
          0, int64_t{1} << 50, true, "off"},
      config.kv_host_memory_bytes);
  visitor(ConfigField{"kv-disk",
                      "Keep blocks in this file too, and find them after a restart. It holds the "
                      "users' prompts and answers: only you can read it."},
          config.kv_disk);
  visitor(ConfigField{"kv-disk-limit", "Most bytes of that file; auto: 8 GiB.", 0, int64_t{1} << 50,
                      true},
          config.kv_disk_bytes);
  visitor(ConfigField{"block-size", "Tokens per KV block: 16, 32, 64, 128 or 256.", 16, 256},
          config.block_size);
  visitor(ConfigField{"batch-tokens",
                      "Most tokens computed in one step, prompts and answers together.", 1, 65536},
          config.batch_tokens);
  visitor(ConfigField{"max-sequences", "Most outputs that run at once.", 1, 65536},
          config.max_sequences);
  visitor(ConfigField{"max-queued", "Most requests that wait; more are refused.", 1, 10'000'000},
          config.max_queued);
  visitor(ConfigField{"prefix-cache", "Reuse the keys and values of prompts that begin alike."},
          config.prefix_cache);
  visitor(ConfigField{"kv-idle-seconds",
                      "After this many idle seconds give the memory of cached blocks back, host "
                      "memory too; what --kv-disk has stays there. 0: never.",
                      0, 86400},
          config.kv_idle_seconds);
}

}  // namespace octavo
