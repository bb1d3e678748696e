// ventile-simulate-scale: for how many workers does one dispatcher do, and from where on do relays help? Prints a row
// for each combination of what is asked for, as comma-separated values.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tests/simulation/scale.hpp"

namespace {

using ventile::from_seconds;
using ventile::simulation::ScaleOptions;
using ventile::simulation::ScaleReport;
using ventile::simulation::simulate_scale;

struct Question {
  std::vector<std::uint32_t> workers{10, 100, 1'000, 10'000, 100'000};
  std::vector<double> links{0.1, 1, 10, 50};     // Milliseconds, as are
  std::vector<double> tasks{1, 10, 100, 1'000};  // these.
  bool flat = false;
  bool relays = false;
  std::uint32_t relay_count = 0;
  double message = 5;  // Microseconds.
  double seconds = 2;
  std::uint64_t batches = 2'000'000;
};

void print(const ScaleOptions& options, const ScaleReport& report) {
  std::printf("%u,%u,%g,%g,%llu,%.0f,%.4f,%.1f,%.3f,%.3f,%.3f,%llu\n", options.workers, options.relays,
              ventile::to_seconds(options.link) * 1e3, ventile::to_seconds(options.task) * 1e3,
              static_cast<unsigned long long>(report.tasks), report.tasks_per_second, report.utilisation,
              report.tasks_per_batch, report.head_busy, report.sink_busy, report.relay_busy,
              static_cast<unsigned long long>(report.requeued));
  std::fflush(stdout);
}

void run(const Question& question, std::uint32_t workers, double link, double task, std::uint32_t relays) {
  if (relays > workers)
    throw std::invalid_argument("--relays " + std::to_string(relays) + ": there are no more than " +
                                std::to_string(workers) + " workers to deal out among them");
  ScaleOptions options;
  options.workers = workers;
  options.relays = relays;
  options.link = from_seconds(link * 1e-3);
  options.task = from_seconds(task * 1e-3);
  options.run = from_seconds(std::max(question.seconds, 20 * task * 1e-3));
  options.batches_max = question.batches;
  const ventile::Duration message = from_seconds(question.message * 1e-6);
  options.costs = {message, message, message};
  print(options, simulate_scale(options));
}

// As many relays as each has workers.
std::uint32_t relays_for(const Question& question, std::uint32_t workers) {
  if (question.relay_count > 0) return question.relay_count;
  return static_cast<std::uint32_t>(std::lround(std::sqrt(workers)));
}

void answer(const Question& question) {
  std::puts(
      "workers,relays,link_ms,task_ms,tasks,tasks_per_s,utilisation,tasks_per_batch,head_busy,sink_busy,relay_busy,"
      "requeued");
  for (const double task : question.tasks)
    for (const double link : question.links)
      for (const std::uint32_t workers : question.workers) {
        if (question.flat || !question.relays) run(question, workers, link, task, 0);
        if (question.relays || !question.flat) run(question, workers, link, task, relays_for(question, workers));
      }
}

}  // namespace

int main(int argc, char** argv) {
  Question question;
  CLI::App app{"Simulates the real deciders between many workers of one slot, and prints what they get done"};
  app.add_option("--workers", question.workers, "how many")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_option("--links", question.links, "milliseconds one way between any two processes")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 10'000.0));
  app.add_option("--tasks", question.tasks, "milliseconds of a task")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1'000'000.0));
  app.add_flag("--flat", question.flat, "all workers at one dispatcher, and nothing else");
  app.add_flag("--with-relays", question.relays, "relays between them, and nothing else");
  app.add_option("--relays", question.relay_count, "how many; else the square root of the workers");
  app.add_option("--message", question.message, "microseconds that a process pays for a message, and to wake")
      ->check(CLI::Range(0.0, 1'000'000.0));
  app.add_option("--seconds", question.seconds, "of work for every worker")->check(CLI::PositiveNumber);
  app.add_option("--batches", question.batches, "no more work than these")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    answer(question);
  } catch (const std::exception& error) {
    std::cerr << "ventile-simulate-scale: " << error.what() << '\n';
    return 1;
  }
}
