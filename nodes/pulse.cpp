#include <nodes/pulse.hpp>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace ventile {
namespace {

constexpr std::string_view serving_words = "ventile-pulse 1 serving ";
constexpr std::string_view waiting_words = "ventile-pulse 1 waiting ";

bool write_line(const std::string& path, const std::string& line) {
  std::ofstream file{path, std::ios::binary | std::ios::trunc};
  file << line;
  return static_cast<bool>(file.flush());
}

std::string cause() { return std::generic_category().message(errno); }

}  // namespace

Pulse::~Pulse() {
  if (has_beaten_) std::remove(path_.c_str());
}

void Pulse::beat(bool serving, TimePoint now) {
  if (path_.empty()) return;
  if (has_beaten_ && serving == last_.serving && now - last_.when < pulse_interval) return;
  last_ = {serving, now};
  has_beaten_ = true;
  const std::string next = path_ + ".next";
  const std::string line =
      fmt::format("{}{}\n", serving ? serving_words : waiting_words, now.time_since_epoch().count());
  if (write_line(next, line) && std::rename(next.c_str(), path_.c_str()) == 0) return;
  if (!std::exchange(said_failure_, true))
    log_.warning("cannot write the sign of life " + path_ + ": " + cause() + "; going on without");
}

Result<Beat> read_pulse(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) return Error{Code::unavailable, "cannot read the sign of life " + path + ": " + cause()};
  std::string line;
  std::getline(file, line);
  const bool serving = line.starts_with(serving_words);
  const std::string_view words = serving ? serving_words : waiting_words;
  Duration::rep count = 0;
  const char* const end = line.data() + line.size();
  if (line.starts_with(words)) {
    const auto [rest, error] = std::from_chars(line.data() + words.size(), end, count);
    if (error == std::errc{} && rest == end) return Beat{serving, TimePoint{Duration{count}}};
  }
  return Error{Code::corrupt, path + " is no sign of life of a worker or a sink"};
}

std::string illness_of(const Beat& beat, bool waiting_is_enough, Duration patience, TimePoint now) {
  const Duration age = now - beat.when;
  // One of the future is of another life of the machine.
  if (age > patience || age < Duration::zero()) return fmt::format("no sign of life for {:.1f} s", to_seconds(age));
  if (!beat.serving && !waiting_is_enough) return "it waits for its dispatcher";
  return {};
}

}  // namespace ventile
