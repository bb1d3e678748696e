// The function `run` on a machine that lends its slots to the `ventile run` of another: `ventile worker --exec '*'`.
//
// The program, its arguments and its environment come from there; that its owner starts the worker so is the consent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <ventile/task/registry.hpp>
#include <ventile/task/zygote.hpp>

namespace ventile {

// What --exec says in place of a command.
inline constexpr std::string_view exec_anything = "*";

// What a command may write on each of stdout and stderr, for it travels with the result. One that writes more is ended,
// and its task fails. Local commands have no such limit.
inline constexpr std::uint64_t lent_output_bytes_max = std::uint64_t{64} << 20;

// Registers `run`, not repeatable: the job's constants are a CommandPlan, a task's payload is a RunInput, its result a
// RunReport whose outputs are complete in themselves. `slots` commands of a run at once, `host` for its log.
void add_lent_run(TaskRegistry& tasks, std::shared_ptr<const Zygote> zygote, std::uint32_t slots, std::string host);

}  // namespace ventile
