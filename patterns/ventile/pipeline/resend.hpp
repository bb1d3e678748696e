// Decides what of a stream was lost and when to send it again.
//
// A stream is PUSH → PULL: whoever dies takes along what was on its way, and nobody says so. But batches are numbered,
// and of each that arrived at the drain a verdict comes back; what has none for too long is a gap.
//
//     on_batch             on_sent                    on_done, for all of its numbers
//   -----------> [waiting] ------> [under way] -----------------------------------------> over
//                    ^                  |
//                    |                  |  a full window has passed it, or it is late
//                    |                  v
//                    '------------- [due]          one at a time; the third time in vain: give up
//
// While nothing was lost, this costs a counter for each batch. A gap is sent again in eighths, each in its turn, so
// that of a batch that kills every stage only a small part is given up. Each time waits twice as long as the time
// before.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/base/range.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

struct ResendOptions {
  std::uint32_t window_batches = 48;                     // Under way at once, about.
  std::uint64_t window_tasks = std::uint64_t{1} << 22;   // Under way at most; more wait at the dispatcher.
  std::uint64_t window_bytes = std::uint64_t{64} << 20;  // The same, of payload.
  Duration patience_min = std::chrono::seconds{3};       // A batch is late after so long, or after
  std::int64_t patience_factor = 4;                      // so many times what the slowest took, if that is more.
  std::uint32_t resends_max = 3;                         // Then the tasks are given up.
};

class Resend {
public:
  // Names what is sent as one.
  using SendId = Id<struct SendTag>;

  // --- Actions ---

  // Put these on the stream and call on_sent().
  struct Send {
    SendId id;
    LeaseId lease;
    std::vector<Range> ranges;
    bool again = false;
  };
  // Sent in vain so often that no stage survives them, or that there is none.
  struct GiveUp {
    LeaseId lease;
    std::vector<Range> ranges;
    std::uint32_t sends = 0;
  };
  using Action = std::variant<Send, GiveUp>;
  using Actions = std::vector<Action>;

  explicit Resend(ResendOptions options) : options_(options) {}

  // --- What happens ---

  void on_batch(LeaseId lease, Range range, std::uint64_t bytes);
  // The transport took it. Until then no time passes for it.
  void on_sent(SendId id, TimePoint now);
  // These numbers of the lease are settled, or nobody wants them any more. What is not under way is ignored.
  void on_done(LeaseId lease, Range range, TimePoint now);
  void on_tick(TimePoint now);
  TimePoint next_tick() const;
  // Credit is counted anew: what is under way takes from it.
  void on_new_session();

  Actions take_actions();

  // --- What is known ---

  Credit credit() const;
  std::vector<Range> missing(LeaseId lease) const;  // What of the lease is not done.
  std::vector<LeaseId> leases() const;
  bool empty() const { return entries_.empty(); }
  std::uint64_t tasks() const { return tasks_; }  // Not done.
  std::uint64_t done_tasks() const { return done_tasks_; }
  std::uint64_t resent_tasks() const { return resent_tasks_; }
  Duration patience() const;

private:
  struct Entry {
    LeaseId lease;
    IntervalSet missing;
    std::optional<TimePoint> sent;
    std::uint64_t settled_before = 0;  // Batches settled before it was sent.
    std::uint32_t resends = 0;
    bool due = false;
  };
  struct Held {
    std::set<SendId> sends;
    std::uint64_t bytes = 0;
    std::uint64_t left = 0;
  };

  ResendOptions options_;
  Actions actions_;
  std::map<SendId, Entry> entries_;  // In the order of sending.
  std::map<LeaseId, Held> leases_;
  std::set<SendId> due_;
  std::optional<SendId> outstanding_;  // The one resend.
  std::uint64_t next_id_ = 0;
  std::uint64_t tasks_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t done_tasks_ = 0;
  std::uint64_t resent_tasks_ = 0;
  std::uint64_t settled_ = 0;  // Entries.
  Credit base_{};              // Credit beyond what has been freed since.
  Credit freed_{};
  bool counted_ = false;
  Duration slowest_{0};

  void add(Entry entry);
  void erase(SendId id);
  void free_lease(LeaseId lease, std::uint64_t count);
  void mark_due(TimePoint now);
  bool passed(const Entry& entry) const;
  TimePoint deadline(const Entry& entry) const;
  void send_again(SendId id);
  void give_up(SendId id);
};

}  // namespace ventile
