// What a slot and its child say to each other, over a stream, and over a socket of packets for what cannot wait.
// Private to this folder.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/result.hpp>
#include <ventile/wire/messages.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile::isolation {

enum class Kind : std::uint32_t { job, group, results, end };

// In front of every message on the stream: then the packed body, then the payload section.
struct Header {
  Kind kind = Kind::end;
  std::uint32_t payload_count = 0;
  std::uint64_t body_bytes = 0;
  std::uint64_t section_bytes = 0;
};

// Slot -> child: the job of the groups that follow.
struct Job {
  JobId id;
  std::string function;
  std::vector<std::byte> constants;
  IndexRule index;
  std::int64_t timeout_nanoseconds = 0;  // 0: none.

  static auto fields(auto& m) { return std::tie(m.id, m.function, m.constants, m.index, m.timeout_nanoseconds); }
};

// Slot -> child: run these, in order. With one payload each, unless it is an index job.
struct Group {
  std::uint64_t id = 0;
  LeaseId lease;
  Range range;
  std::uint32_t tries = 0;
  std::uint32_t slot = 0;

  static auto fields(auto& m) { return std::tie(m.id, m.lease, m.range, m.tries, m.slot); }
};

// Child -> slot: the next tasks of the group have ended; one payload each. Those that failed have an error's payload.
struct Ended {
  std::vector<std::uint32_t> failed;  // Which of them, in order.

  static auto fields(auto& m) { return std::tie(m.failed); }
};

// Child -> slot: no more of this group comes.
struct GroupEnd {
  std::uint64_t group = 0;
  bool retire = false;  // The child keeps too much memory: let it go.

  static auto fields(auto& m) { return std::tie(m.group, m.retire); }
};

// A message as it came, and what it is. The body and payloads are views of the reader's memory.
struct Incoming {
  Kind kind = Kind::end;
  Bytes body;
  PayloadView payloads;
};

// Blocks until all is written. Code::unavailable if the other side is gone, or has taken nothing for `patience`.
Status write_message(int stream, Kind kind, Bytes body, std::uint32_t payload_count, Bytes section);

// Reads a stream's messages as their bytes come. The other side is user code that may have gone mad: all is checked.
class MessageReader {
public:
  explicit MessageReader(int stream) : stream_(stream) {}

  enum class Got : std::uint8_t { message, nothing_yet, end, nonsense };
  // With `wait`, blocks until there is a message or the end. Views of the last message end with the call.
  Got next(Incoming& message, bool wait);

private:
  static constexpr std::size_t chunk_bytes = std::size_t{64} << 10;

  int stream_;
  Buffer bytes_;           // What has come.
  std::size_t begin_ = 0;  // Of what has not been given out.

  Got take(Incoming& message);
  bool receive(bool wait, Got& got);
};

// --- What cannot wait ---------------------------------------------------------------------------------------------

// Slot -> child, one packet each.
struct Order {
  enum class What : std::uint32_t {
    look,     // Send what is finished, and what the running task has last said of itself.
    stop,     // The running task shall see that it is to stop.
    abandon,  // Begin no more of this group.
  };
  What what = What::look;
  std::uint64_t group = 0;
};

// Child -> slot, the answer to look if there is something new.
struct Said {
  std::uint64_t number = 0;
  std::uint32_t permille = 0;
  std::uint32_t text_bytes = 0;
  char text[Milestone::text_bytes_max] = {};
};

// Memory that both have: what the child was doing when it died. The child writes, the slot reads.
struct Begun {
  std::atomic<std::uint64_t> group{0};
  std::atomic<std::uint32_t> offset{0};  // Within the group, of the task that was begun last.
  std::atomic<std::int64_t> since{0};    // On the monotonic clock, in nanoseconds.

  // The group last: who sees it sees its first task, and neither the task nor the time of the group before.
  void begin_group(std::uint64_t its_group, TimePoint now) {
    begin_task(0, now);
    group.store(its_group, std::memory_order_release);
  }
  void begin_task(std::uint32_t its_offset, TimePoint now) {
    since.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    offset.store(its_offset, std::memory_order_release);
  }
  bool has_begun(std::uint64_t its_group) const { return group.load(std::memory_order_acquire) == its_group; }
  std::uint32_t running() const { return offset.load(std::memory_order_acquire); }
  TimePoint running_since() const { return TimePoint{Duration{since.load(std::memory_order_relaxed)}}; }
};

}  // namespace ventile::isolation
