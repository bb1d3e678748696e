// The commands of Ventile, each a main() of its own.
#pragma once

#include <string>
#include <vector>

namespace ventile {

// How a command was called.
struct Invocation {
  std::vector<std::string> program;  // "ventile-worker", or "ventile" and "worker".
  std::vector<std::string> options;  // What follows.
};

// Each returns the exit code of the process, and must be called before any thread is started.
int run_ventilator(const Invocation& invocation);
int run_worker(const Invocation& invocation);
int run_sink(const Invocation& invocation);
int run_run(const Invocation& invocation);  // `ventile run`
int run_map(const Invocation& invocation);
int run_broker(const Invocation& invocation);
int run_up(const Invocation& invocation);  // `ventile up`
int run_status(const Invocation& invocation);
int run_why(const Invocation& invocation);
int run_cancel(const Invocation& invocation);
int run_drain(const Invocation& invocation);
int run_health(const Invocation& invocation);
int run_bench(const Invocation& invocation);    // `ventile bench …`
int run_keygen(const Invocation& invocation);   // `ventile keygen …`
int run_keys(const Invocation& invocation);     // `ventile keys …`
int run_journal(const Invocation& invocation);  // `ventile journal …`
int run_ventile(const Invocation& invocation);  // `ventile COMMAND …`

// Of a main(), which calls it first. Standard input, output and errors that are closed are open from then on, for what
// cannot be done with them: else the next file that is opened took their place, and were read or written for them.
Invocation invocation_of(int argc, char** argv);

}  // namespace ventile
