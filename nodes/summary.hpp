// What a node says when a job has ended: what became of every task, and the audit that proves it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nodes/failure_groups.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/queue/refusals.hpp>

namespace ventile {

struct JobSummary {
  std::string job;   // Its id.
  std::string name;  // Empty: none.
  Duration duration = Duration::zero();

  std::uint64_t submitted = 0;
  std::uint64_t skipped = 0;  // Malformed items of the input, never submitted.
  // Tasks by outcome.
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t dead = 0;
  std::uint64_t lost = 0;
  std::uint64_t expired = 0;
  std::uint64_t cancelled = 0;
  // Numbers that have an outcome, as counted by the ledger's set and not by adding up the outcomes.
  std::uint64_t settled = 0;

  std::uint64_t workers_seen = 0;
  std::uint64_t batches_requeued = 0;
  std::uint64_t batches_speculative = 0;
  std::uint64_t duplicates_dropped = 0;
  RefusalCounts refused;  // Messages.
  std::uint64_t retries = 0;
  std::uint64_t begun_again = 0;  // Tasks that are not repeatable, and may have begun twice.

  bool is_part = false;  // Of the job: nobody here knows what became of the rest.

  FailureGroups failures;
  std::string failed_file;           // Where the failed tasks' inputs were written; empty: nowhere.
  std::vector<std::string> command;  // The arguments of this process, its program first.
};

// "audit: submitted 9 = done 8 + failed 1; lost 0, counted twice 0". Lost are numbers without an outcome, counted twice
// those whose outcomes exceed the numbers settled; a sum that does not come out is written with != in place of =.
std::string audit_line(const JobSummary& summary);

// Lines for stderr, each with its end.
std::string summary_text(const JobSummary& summary);
// One document with "schema":1, without a line end.
std::string summary_json(const JobSummary& summary);

// The command that runs the failed tasks again: the same options with the file of failed inputs as its input.
// Quoted for a shell.
std::string rerun_command(const std::vector<std::string>& command, const std::string& failed_file);

}  // namespace ventile
