// The sign of life of a node that nobody can ask: a worker or a sink writes one line into a file about once a second,
// and `ventile health --pulse FILE` reads it.
//
//   ventile-pulse 1 serving 8123456789012
//                   waiting                 What it says of its dispatcher, and the monotonic clock in nanoseconds.
#pragma once

#include <string>

#include <ventile/base/clock.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// A little less, so that who looks once a second writes each time.
inline constexpr Duration pulse_interval = std::chrono::milliseconds{800};

struct Beat {
  bool serving = false;  // It has a session with its dispatcher; else it waits for one.
  TimePoint when;        // Of the monotonic clock, which all processes of a machine share.

  bool operator==(const Beat&) const = default;
};

// Belongs to the thread that beats.
class Pulse {
public:
  // Writes nothing if there is no path. `log` hears once that the file cannot be written; the node goes on.
  Pulse(std::string path, Log log) : path_(std::move(path)), log_(std::move(log)) {}
  // Takes the file away: who has ended is not alive.
  ~Pulse();
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;

  // Writes if the last beat is pulse_interval ago or was another. Whoever reads has the one before or this one.
  void beat(bool serving, TimePoint now);

private:
  std::string path_;
  Log log_;
  Beat last_;
  bool has_beaten_ = false;
  bool said_failure_ = false;
};

// Code::unavailable if the file cannot be read, Code::corrupt if it holds something else.
Result<Beat> read_pulse(const std::string& path);

// Why a node with this last beat is not healthy; empty: it is. A beat may be as old as `patience`; with
// `waiting_is_enough` it need not serve.
std::string illness_of(const Beat& beat, bool waiting_is_enough, Duration patience, TimePoint now);

}  // namespace ventile
