#include "tests/simulation/wire.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace ventile::simulation {
namespace {

std::string text(Range range) { return "[" + std::to_string(range.first) + ", " + std::to_string(range.end()) + ")"; }
std::string text(LeaseId lease) { return "#" + std::to_string(lease.counter); }
std::string text(const std::vector<Range>& ranges) {
  std::string all;
  for (const Range range : ranges) all += (all.empty() ? "" : " ") + text(range);
  return all;
}

constexpr std::array verdict_names{"stored", "duplicate", "overlap", "refused"};
constexpr std::array reason_names{"not begun", "failed", "cancelled", "unknown", "dead"};

std::string details(const auto&) { return {}; }
std::string details(const Hello& m) {
  std::string all = "credit " + std::to_string(m.credit.tasks);
  for (const HeldRange& held : m.held)
    all += ", holds " + text(held.lease) + " " + text(held.range) + (held.finished ? " finished" : "");
  return all;
}
std::string details(const Opened& m) { return "have " + text(m.have) + ", credit " + std::to_string(m.credit.tasks); }
std::string details(const Tasks& m) { return text(m.lease) + " " + text(m.range); }
std::string details(const Results& m) {
  return text(m.lease) + " " + text(m.range) + (m.folded ? " folded" : "") +
         (m.failures.empty() ? "" : ", " + std::to_string(m.failures.size()) + " failed");
}
std::string details(const Stored& m) {
  std::string all = "credit " + std::to_string(m.credit.tasks);
  for (const Settlement& s : m.settlements)
    all += ", " + text(s.lease) + " " + text(s.range) + " " + verdict_names.at(static_cast<std::size_t>(s.verdict));
  return all;
}
std::string details(const Verdicts& m) {
  std::string all;
  for (const VerdictNote& note : m.verdicts)
    all += (all.empty() ? "" : ", ") + text(note.lease) + " " + text(note.range) + " " +
           verdict_names.at(static_cast<std::size_t>(note.verdict));
  return all;
}
std::string details(const Retract& m) { return text(m.lease) + " " + std::to_string(m.count); }
std::string details(const Return& m) {
  return text(m.lease) + " " + text(m.ranges) + " " + reason_names.at(static_cast<std::size_t>(m.reason));
}
std::string details(const Cancel& m) { return text(m.lease) + " " + text(m.range); }
std::string details(const Propose& m) { return text(m.ranges) + " " + std::string{to_string(m.outcome)}; }
std::string details(const Progress& m) {
  std::string all = "credit " + std::to_string(m.credit.tasks);
  for (const RunningLease& running : m.running)
    all += ", " + text(running.lease) + " finished " + std::to_string(running.finished) +
           (running.running_nanoseconds > 0 ? " runs" : "");
  return all;
}
std::string details(const End& m) { return std::to_string(m.total); }
std::string details(const Refused& m) { return m.message; }
std::string details(const Bye& m) { return m.message; }

}  // namespace

std::string describe(const Message& message) {
  const std::string more = std::visit([](const auto& m) { return details(m); }, message);
  return name_of(message) + (more.empty() ? more : " " + more);
}

HeldResults hold(std::shared_ptr<const Buffer> frame) {
  Result<Received> received = decode(*frame);
  require(static_cast<bool>(received), "a frame of results is malformed");
  return {std::move(frame), received->envelope, std::get<Results>(std::move(received->message))};
}

Outcome outcome_of(const Results& results, Number number) {
  const auto offset = static_cast<std::uint32_t>(number - results.range.first);
  const auto failure = std::find_if(results.failures.begin(), results.failures.end(),
                                    [&](const Failure& one) { return one.offset == offset; });
  return failure == results.failures.end() ? Outcome::done : failure->outcome;
}

std::optional<HeldResults> ResultsInbox::take(Buffer frame) {
  require(frame.size() <= frame_bytes_max_, "a frame is larger than its limit");
  if (type_of(frame) != Part::type) return hold(std::make_shared<const Buffer>(std::move(frame)));
  const Result<Received> received = decode(frame);
  require(static_cast<bool>(received), "a part of results is malformed");
  Result<Buffer> whole = workers_[received->envelope.incarnation].add(std::get<Part>(received->message));
  require(static_cast<bool>(whole), "parts of results do not fit");
  if (whole->empty()) return std::nullopt;
  return hold(std::make_shared<const Buffer>(std::move(*whole)));
}

std::vector<Buffer> Wire::pack(const Envelope& envelope, const Message& message, PayloadWriter&& payloads) {
  return split(encode(envelope, message, std::move(payloads)), envelope, ++transfers_, frame_bytes_max_);
}

std::vector<Buffer> Wire::cut(Bytes frame, const Envelope& envelope) {
  Buffer copy;
  copy.append(frame);
  return split(std::move(copy), envelope, ++transfers_, frame_bytes_max_);
}

}  // namespace ventile::simulation
