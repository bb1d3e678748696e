// What `ventile run` can be told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nodes/option_table.hpp>
#include <nodes/options.hpp>
#include <nodes/run/source_spec.hpp>
#include <ventile/net/endpoint.hpp>

namespace ventile {

// In the order of the help.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct RunCommand {
  CommonOptions common;
  std::vector<std::string> command;  // The words of the template.
  std::vector<SourceSpec> sources;   // Empty: standard input.

  std::vector<std::string> kept_options;  // As given, without those that say how arguments are read; for another run.

  std::string slots = "100%";  // "4", "50%", "+2", "-1", or "0": as many as there are tasks, up to a limit.
  bool keep_order = false;
  std::optional<bool> bar;
  bool dry_run = false;
  bool shell = false;
  std::string joblog;
  bool resume = false;
  bool resume_failed = false;
  bool retry_failed = false;
  std::uint32_t retries = 1;  // Tries in all.
  OnLost on_lost = OnLost::rerun;
  std::string timeout;  // TimeLimit's text.
  std::optional<HaltRule> halt;

  bool null_delimited = false;
  std::string delimiter;
  std::string column_separator;
  std::string trim;                             // "", "n", "l", "r", "lr", "rl".
  std::string header;                           // "" or ":".
  std::optional<std::uint32_t> arguments_each;  // Per command, or with --pipe records per block.
  std::string replacement = "{}";
  bool skip_empty = false;
  bool link = false;

  bool pipe = false;
  std::uint64_t block_bytes = std::uint64_t{1} << 20;
  std::string record_end = "\n";
  std::string record_start;
  bool arguments_to_input = false;

  bool tag = false;
  std::string tag_template;
  bool line_buffer = false;
  bool ungroup = false;
  std::string results;
  bool says_commands = false;

  std::optional<Endpoint> bind;  // Where other machines come to lend their slots; none: this machine only.
  bool remote_only = false;      // No command runs on this machine.
  std::string keys;              // A folder with those of dispatcher, sink and worker; empty: none.
  bool insecure = false;
  std::uint32_t strangers_max = 16;     // With keys, before they are let in.
  std::vector<std::string> transfer;    // Templates of files that go with a task to another machine,
  std::vector<std::string> bring_back;  // and of those that come back from there.
  bool cleanup = false;                 // Both are removed there.

  Duration delay{0};
  std::uint64_t memory_free = 0;
  std::uint32_t nice = 0;
  std::vector<std::string> environment;
  std::string directory;
};

OptionTable table_of(RunCommand& command);

}  // namespace ventile
