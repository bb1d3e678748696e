// A job at a broker: one thread reads its input, one talks to the broker, and its results go into a conduit.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include <nodes/map/conduit.hpp>
#include <nodes/map/kept_inputs.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/client.hpp>
#include <ventile/queue/input.hpp>

namespace ventile {

struct BrokerJobOptions {
  Endpoint connect;
  Keys keys;  // A client's.
  std::string build;
  Submit specification;           // Of a kept job the tasks are handed over, and nothing else comes.
  std::uint64_t index_count = 0;  // Of an index job, which has no input.
  std::optional<Fetch> fetch;     // In place of a job of its own: the results of one that is kept. There is no input.
  std::optional<Duration> connect_timeout;  // Over if no broker has answered by then. None: one is waited for.
  Log log;
};

// A broker that goes away is waited for, and is given again what has no outcome yet.
class BrokerJob {
public:
  BrokerJob(Context& context, BrokerJobOptions options, std::unique_ptr<Input> input, Conduit& conduit,
            KeptInputs& inputs);
  ~BrokerJob();  // As finish(), if that was not called.
  BrokerJob(const BrokerJob&) = delete;
  BrokerJob& operator=(const BrokerJob&) = delete;

  // Code::unavailable if there is no way to such an address. Whether a broker is there is another question.
  Status start();

  // From any thread. Read nothing more (of results: fetch nothing more), and end when what was read has an outcome, or
  // when for 3 s neither the broker nor a worker that could run it has been there: then the rest is cancelled.
  void drain();
  // Let everything without an outcome be cancelled, at once, or a kept job be removed.
  void cancel(const std::string& why);

  // Of a kept job: waits until the broker has all of it, or nothing more will come of it. Why not; empty: it has.
  std::string wait_until_handed_over();
  // Of fetched results: so many bytes of them are not held any more.
  void taken(std::uint64_t bytes);
  // All of them are safe: the broker need keep them no longer.
  void confirm();

  // Everything that will be written is written: says goodbye. Returns when no thread is left.
  void finish();

  // A moment ago.
  std::uint64_t workers() const { return workers_; }
  std::uint64_t slots() const { return slots_; }
  std::array<std::uint64_t, outcome_count> outcomes() const;  // Of what has come, be it written or not.

  // After finish().
  JobId id() const { return job_; }
  bool is_refused() const { return refused_; }        // The broker does not want this client.
  bool is_unanswered() const { return unanswered_; }  // None has answered in time.
  bool is_cancelled_by_another() const { return cancelled_by_another_; }
  bool is_over() const { return over_; }                           // The broker has said so, or why it is not.
  const std::string& input_error() const { return input_error_; }  // Empty: the input was read to its end.
  std::uint64_t workers_seen() const { return workers_seen_.size(); }
  std::uint64_t retries() const { return retries_; }
  std::uint64_t duplicates() const { return client_.duplicates(); }

  const Input* input() const { return input_.get(); }

private:
  class Listener;

  BrokerJobOptions options_;
  std::unique_ptr<Input> input_;
  Conduit& conduit_;
  KeptInputs& inputs_;
  Reactor reactor_;
  Client client_;
  JobId job_;
  std::string input_error_;  // The reader's.
  std::atomic<std::uint64_t> workers_ = 0;
  std::atomic<std::uint64_t> slots_ = 0;
  std::array<std::atomic<std::uint64_t>, outcome_count> outcomes_{};
  // The reactor's.
  std::string cancelled_;  // Why; empty: it is not.
  bool refused_ = false;
  bool unanswered_ = false;
  bool answered_ = false;  // The broker, once.
  bool cancelled_by_another_ = false;
  bool over_ = false;
  std::string over_error_;
  bool reader_ended_;  // Or there is none.
  bool confirmed_ = false;
  bool finishing_ = false;
  bool asking_ = false;
  bool draining_ = false;
  bool waits_for_worker_ = false;  // And nothing of it runs, as the broker last said.
  std::string waiting_for_;        // The same: why.
  TimePoint stuck_since_;
  std::set<std::string> workers_seen_;
  std::uint64_t retries_ = 0;
  TimePoint moved_;                // Something came.
  std::uint64_t handed_over_ = 0;  // Tasks of a kept job.
  std::mutex mutex_;               // Guards what follows.
  std::condition_variable kept_changed_;
  std::optional<std::string> kept_;  // Whether the broker has all of it; empty: it has, else why not.
  std::string said_waiting_;
  std::thread reader_;
  std::thread thread_;

  void read_all();
  void read_index();
  void submit(std::shared_ptr<PayloadWriter> payloads);
  void on_submitted();
  void on_reader_end();
  void never_given(Range range);
  void on_results(const Arrival& arrival);
  void on_outcome(const Submission::DeliverOutcome& outcome);
  void on_over(const std::string& error);
  void on_kept(const Submission::Kept& kept);
  void on_kept_over(const std::string& why);
  void stop_reading();
  std::uint64_t settled() const;
  void settle_rest(const std::string& why);
  void time_out();
  void end_if_stuck();
  void discard();
  void ask();
  void on_report(const Report& report);
  void maybe_leave();
  void leave();
};

}  // namespace ventile
