// Where the library says things. It never writes to stdout or stderr by itself: whoever makes a node gives it a Log.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <ventile/base/clock.hpp>

namespace ventile {

enum class Level : std::uint8_t { debug, info, warning, error };

// Called with one finished line, without a line end. May be called from any thread that a node owns.
using LogSink = std::function<void(Level, std::string_view)>;

// A small value to pass around; copies share the sink. Thread-safe as far as its sink is.
class Log {
public:
  Log() = default;  // Says nothing.
  explicit Log(LogSink sink) : sink_(std::move(sink)) {}

  void debug(std::string_view line) const { write(Level::debug, line); }
  void info(std::string_view line) const { write(Level::info, line); }
  void warning(std::string_view line) const { write(Level::warning, line); }
  void error(std::string_view line) const { write(Level::error, line); }
  void write(Level level, std::string_view line) const {
    if (sink_) sink_(level, line);
  }

private:
  LogSink sink_;
};

// Lets one line through per interval and counts what it held back, so that a hostile peer cannot fill a disk.
class RateLimit {
public:
  explicit RateLimit(Duration interval) : interval_(interval) {}

  // True if a line may be written now; `held_back()` is then the number of lines suppressed since the last one.
  bool allow(TimePoint now);
  std::uint64_t held_back() const { return reported_; }

private:
  Duration interval_;
  TimePoint next_ = TimePoint::min();
  std::uint64_t suppressed_ = 0;
  std::uint64_t reported_ = 0;
};

}  // namespace ventile
