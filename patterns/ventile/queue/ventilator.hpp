// A ventilator: turns input into the tasks of one job, gives them to workers, and knows when all is done.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/feed.hpp>
#include <ventile/queue/input.hpp>
#include <ventile/queue/job_journal.hpp>
#include <ventile/queue/refusals.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

struct VentilatorOptions {
  Endpoint bind;
  Keys keys;       // A dispatcher's. None: whoever connects may take part.
  JobOptions job;  // With an index rule, `index_count` tasks; otherwise the input's.
  std::uint64_t index_count = 0;
  FeedOptions feed;
  DispatcherOptions dispatcher;
  std::size_t frame_bytes_max = frame_bytes_default;
  std::string durable;  // A folder for the job's journal: a ventilator that is killed and started again goes on. Empty:
                        // none.
  JobSource source;     // Of a durable job: what its tasks come from.
  Log log;
};

// What is known while a job runs and at its end.
struct JobStatus {
  Audit audit;
  JobCounters counters;
  std::uint64_t skipped = 0;  // Malformed input items passed over.
  std::uint64_t input_bytes = 0;
  std::optional<std::uint64_t> input_bytes_total;
  bool input_ended = false;
  std::size_t workers = 0;  // Connected now.
  std::size_t workers_seen = 0;
  std::uint64_t slots = 0;
  RefusalCounts refused;    // Messages.
  std::string waiting_for;  // Why nothing moves, or empty.
};

enum class HaltDecision : std::uint8_t { go_on, soon, now };

enum class VentilatorEnding : std::uint8_t {
  done,             // Every task has an outcome and the sink has closed its output.
  halted,           // The halt rule or cancel() ended it early; what was submitted has outcomes.
  drained,          // drain() stopped the reading, or cancelled the rest of a range; what was submitted has outcomes.
  bad_input,        // The input could not be read to its end; what was read has outcomes.
  failed,           // Results are lost, or the sink could not go on.
  abandoned,        // leave(): nothing is accounted for any more. A durable job can be resumed.
  finished_before,  // A durable job that was over when it was started again: nothing was done.
};

struct VentilatorReport {
  VentilatorEnding ending = VentilatorEnding::done;
  std::string why;
  std::string job;  // Its id.
  JobStatus status;
  std::uint64_t settled_numbers = 0;  // Counted by the ledger's set, not by adding outcomes up.
  Closed closed;                      // The sink's own count.
  bool is_part = false;               // Of the job: nobody here knows what became of the rest.
  Duration duration{0};
};

// Called on the reactor's thread; must not block.
struct VentilatorCallbacks {
  std::function<HaltDecision(const Audit&, bool input_ended)> halt;  // After results and drain(); none: never.
  // Tasks have ended otherwise than done; once for all of them, be they a billion that were cancelled.
  std::function<void(const FailureNote&)> on_failures;
  // The same, once for each with its payload. Empty for index jobs, which had better not ask for it.
  std::function<void(Number, Bytes payload, const FailureNote&)> on_failure;
  std::function<void(const JobStatus&)> on_progress;  // A few times a second.
};

class Ventilator {
public:
  // `input` may be null for an index job.
  Ventilator(Context& context, VentilatorOptions options, std::unique_ptr<Input> input, VentilatorCallbacks callbacks);
  ~Ventilator();
  Ventilator(const Ventilator&) = delete;
  Ventilator& operator=(const Ventilator&) = delete;

  // Opens the journal and binds, so that errors come before anything runs. Returns the address with its real port.
  // Code::invalid if the journal holds another job, with the difference.
  Result<Endpoint> bind();
  // Runs the job to its end; its thread becomes the reactor's. Binds if that was not done.
  Result<VentilatorReport> run();

  // From any thread. Drain: read nothing more, finish what was submitted; of an index job that is not durable, finish
  // what runs and cancel what has not begun. Cancel: what no worker has is cancelled, what
  // runs is stopped. Leave: stop now, whatever is open.
  void drain();
  void cancel();
  void leave();

private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace ventile
