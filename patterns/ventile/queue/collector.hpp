// The sink's side: which results count, in which order they are written, and when they may be acknowledged.
//
//               OPEN                        END, everything settled              output closed
//   [no job] ---------> [collecting] ------------------------------> [finalising] ------------> [closed]
//                          ^     |
//                          '-----'  results and proposals: store, drop, verdict
//
// A result is acknowledged when the output has it (Collector is told by on_written) and not before; a durable sink then
// writes down what it has settled (Persist), and acknowledges when that is on the disk (on_persisted). A result of
// which every number has an outcome is dropped as duplicate; of a folded one that overlaps nothing can be used; of
// another the missing part is stored and the rest dropped. With ordered output, results wait in memory for those before
// them: the number limit in the credit keeps that bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/queue/ledger.hpp>
#include <ventile/queue/liveness.hpp>
#include <ventile/queue/notice.hpp>
#include <ventile/queue/settlement.hpp>
#include <ventile/queue/sink_record.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

struct CollectorOptions {
  NodeId node;
  IncarnationId incarnation;
  std::string name;
  std::string build;
  std::string results_address;
  MachineId machine;  // None: nothing is lent to it.
  std::string fold;   // Name of the reducer, or empty.
  bool ordered = false;
  bool stay = false;                                      // Wait for the next job when one is over.
  bool durable = false;                                   // Acknowledge what is on the disk and nothing else.
  std::uint64_t window_tasks = std::uint64_t{1} << 32;    // Results on their way or held, in tasks.
  std::uint64_t window_bytes = std::uint64_t{64} << 20;   // The same, in bytes.
  std::uint64_t ordered_window = std::uint64_t{1} << 20;  // Numbers that may be open behind the lowest missing one.
  Duration hello_interval = std::chrono::seconds{1};      // Doubles while nobody answers.
  Duration hello_interval_max = std::chrono::seconds{8};
  Duration finished_after =
      std::chrono::minutes{2};                      // Silence for so long once CLOSED was said: nobody will answer it.
  Duration orphan_after = std::chrono::seconds{5};  // Welcome for so long without its job: nobody knows that any more.
};

class Collector {
public:
  // --- Actions ---

  struct Say {
    JobId job;
    SessionId session;
    Message message;
  };
  struct OpenOutput {  // A job begins. Answer with on_output_opened() or on_output_refused().
    JobId job;
    Open open;
  };
  // Write the payloads of these numbers, which are in this frame, in order.
  struct Write {
    FrameId frame;
    Range range;
  };
  // Write the same outcome for all these numbers; `payload` is what a failed task's payload would be.
  struct WriteOutcome {
    Range range;
    Outcome outcome = Outcome::failed;
    std::uint32_t tries = 0;
    std::string kind;
    std::string message;
  };
  struct Combine {  // Fold the frame's results, of the numbers in `range`, into the job's value.
    FrameId frame;
    Range range;
  };
  struct Release {  // The frame is not needed again.
    FrameId frame;
  };
  // Write this record, with the payloads of `kept`, which are in frames, behind all before it, and make it durable
  // together with what was written to the output before; then call on_persisted().
  struct Kept {
    FrameId frame;
    Range range;
  };
  struct Persist {
    std::uint64_t token = 0;  // Grows.
    SinkRecord record;
    std::vector<Kept> kept;  // Ordered: stored and not yet written. Folded: combined.
  };
  struct Finalise {  // Write the folded value if there is one, close the output, call on_finalised().
    JobId job;
    std::uint64_t total = 0;
  };
  enum class Ending : std::uint8_t { done, refused, version_mismatch, failed };
  struct Leave {
    Ending ending = Ending::done;
    std::string why;
  };
  using Action = std::variant<Say, OpenOutput, Write, WriteOutcome, Combine, Persist, Release, Finalise, Leave, Notice>;
  using Actions = std::vector<Action>;

  explicit Collector(CollectorOptions options);

  // --- What was, before start() ---

  // A record that an earlier life of this sink has written. Call for each, in order.
  void restore(const SinkRecord& record);
  // A kept payload of these records, if it still waits for those before it; the driver has it in `frame` from now on,
  // and until a Release. False if it does not wait: it was written.
  bool restore_kept(FrameId frame, Range range, std::uint64_t bytes);

  // --- What happens ---

  void start(TimePoint now);
  void on_message(const Received& received, TimePoint now);  // From the dispatcher.
  void on_part(TimePoint now) { liveness_.on_heard(now); }   // A piece of a message: the dispatcher lives.
  // A result that was lent to this sink cannot be read: it is lost, and what follows shall not be lent. Workers send
  // again what has no verdict, for the sink introduces itself anew. Only once; then notes are to be refused.
  void on_unreadable(const Error& error, TimePoint now);
  bool borrows() const { return bool{options_.machine}; }
  void on_malformed(const Error& error, std::optional<std::uint16_t> version, TimePoint now);
  // From a worker. The frame is kept by the driver at least until the Release that follows, perhaps at once.
  void on_results(FrameId frame, const Envelope& envelope, const Results& results);
  // Everything that Write, WriteOutcome and Combine asked for so far is safe: acknowledge it.
  void on_written(TimePoint now);
  // Everything up to this Persist is on the disk.
  void on_persisted(std::uint64_t token, TimePoint now);
  // The output cannot be written (disk full, file gone): acknowledge nothing more.
  void on_output_failed(const std::string& why, TimePoint now);
  void on_output_opened();  // Answers OpenOutput; so does
  void on_output_refused(const std::string& why);
  void on_finalised(TimePoint now);
  void on_tick(TimePoint now);
  TimePoint next_tick() const;
  void drain(const std::string& why);  // Leaves when the job that it has is over; at once if it has none.
  void leave(const std::string& why);  // At once: results that come later are not taken.

  Actions take_actions();

  // --- What is known ---

  const Ledger& ledger() const { return ledger_; }
  std::uint64_t duplicates() const { return duplicates_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t held_bytes() const { return held_bytes_; }  // Waiting for lower numbers.
  bool open() const { return state_ == State::open; }
  bool has_job() const { return job_.has_value(); }
  std::string why_waiting() const;
  bool persisting() const { return !in_flight_.empty(); }
  bool finalising() const { return finalising_; }  // No more results count.
  bool finalised() const { return finalised_; }
  // All that restore() needs, in one record: it can stand for those before it if nothing is unwritten or on its way to
  // the disk. Kept payloads of what `waits` are not in it.
  SinkRecord snapshot() const;
  std::vector<Kept> waits() const;  // Ordered: stored, and waiting in frames.

private:
  enum class State : std::uint8_t { greeting, open, gone };
  struct Waiting {                 // Ordered output: stored, not yet written.
    std::optional<FrameId> frame;  // None: it was a proposal.
    Range range;
    std::uint64_t bytes = 0;
    WriteOutcome outcome;
  };

  CollectorOptions options_;
  State state_ = State::greeting;
  SessionId session_;
  Liveness liveness_;
  TimePoint welcome_since_ = TimePoint::min();
  std::uint64_t greetings_ = 0;
  Duration hello_pause_;
  TimePoint next_hello_ = TimePoint::min();
  Actions actions_;

  std::optional<JobId> job_;
  Ledger ledger_;
  std::map<Number, Waiting> waiting_;
  Number written_ = 0;                     // Ordered: everything below is written.
  std::map<FrameId, std::uint32_t> uses_;  // Waiting parts of a frame.
  std::vector<Settlement> unsent_;         // Stored, not known to be written.
  struct InFlight {
    std::uint64_t token = 0;
    std::vector<Settlement> settlements;
  };
  std::deque<InFlight> in_flight_;  // Durable: written, not known to be on the disk.
  std::vector<Kept> kept_;          // Of unsent_.
  std::vector<HeldOutcome> kept_outcomes_;
  std::uint64_t tokens_ = 0;
  std::uint64_t opening_token_ = 0;   // Of the record that the job has begun.
  std::uint64_t final_token_ = 0;     // Of the record that the output is whole.
  std::uint64_t received_bytes_ = 0;  // Stored since the dispatcher opened the job in this session.
  std::uint64_t held_bytes_ = 0;
  std::uint64_t duplicates_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t digest_ = 0;
  std::optional<std::uint64_t> total_;
  bool finalising_ = false;
  bool finalised_ = false;
  bool said_closed_ = false;  // In this life, with no error.
  bool asked_ = false;        // OPEN has come in this session,
  bool opened_ = false;       // and was answered.
  bool output_failed_ = false;

  void say(Message message);
  void hello(TimePoint now);
  void say_closed();
  void on_open(JobId job, const Open& open);
  void say_opened();
  void on_propose(const Propose& propose);
  void on_end(const End& end);
  void store(FrameId frame, const Envelope& envelope, const Results& results, Range part);
  void write_or_hold(Waiting waiting);
  void release(FrameId frame);
  void acknowledge(std::vector<Settlement> settlements, TimePoint now);
  void persist();
  void hold(Waiting waiting);
  void settle(const Envelope& envelope, const Results& results, Range range, Verdict verdict);
  void maybe_finalise();
  void on_orphaned(TimePoint now);
  void leave_finished();
  SinkCredit credit() const;
};

}  // namespace ventile
