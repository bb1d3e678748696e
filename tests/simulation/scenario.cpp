#include "tests/simulation/scenario.hpp"

#include <algorithm>
#include <array>
#include <sstream>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

template <class T, std::size_t count>
T one_of(Random& random, const T (&choices)[count]) {
  return choices[random.below(count)];
}

}  // namespace

Scenario::Scenario(std::uint64_t its_seed) : seed(its_seed) {
  Random random{its_seed * 2 + 1};
  typical = one_of(random, {Duration{200ns}, Duration{20us}, Duration{1ms}, Duration{30ms}, Duration{500ms}});
  spread = one_of(random, {0.0, 0.5, 1.5});
  const std::uint64_t most = typical >= 500ms ? 60 : typical >= 30ms ? 400 : typical >= 1ms ? 2000 : 10'000;
  tasks = random.chance(0.05) ? random.below(3) : random.between(1, most);
  index_job = random.chance(0.3);
  folded = random.chance(0.25);
  ordered = !folded && random.chance(0.3);
  repeatable = random.chance(0.8);
  tries_max = static_cast<std::uint32_t>(random.between(1, 3));
  failing = one_of(random, {0.0, 0.0, 0.02, 0.3});
  poisonous = random.chance(0.2) ? random.between(1, 2) : 0;
  hanging = random.chance(0.1) ? 1 : 0;
  timeout = hanging > 0 || random.chance(0.2) ? Duration{20s} : Duration{0};
  payload_bytes = index_job ? 0 : one_of<std::uint64_t>(random, {0, 20, 300, 6000});
  input_interval = one_of(random, {Duration{0}, Duration{0}, Duration{10ms}, Duration{200ms}});
  cancel = random.chance(0.1);

  workers = static_cast<std::uint32_t>(random.between(1, 6));
  slots = static_cast<std::uint32_t>(random.between(1, 4));
  worker_credit_tasks = one_of<std::uint64_t>(random, {4, 50, 100'000});
  worker_credit_bytes = one_of<std::uint64_t>(random, {10'000, 1'000'000, 64'000'000});
  sink_window_tasks = one_of<std::uint64_t>(random, {10, 300, 1'000'000});
  sink_window_bytes = one_of<std::uint64_t>(random, {2'000, 100'000, 64'000'000});
  ordered_window = one_of<std::uint64_t>(random, {20, 1'000, 1'000'000});
  sink_service = one_of(random, {Duration{1us}, Duration{100us}, Duration{5ms}});
  push_high_water = one_of<std::size_t>(random, {2, 10, 1000});
  frame_bytes_max = one_of<std::size_t>(random, {4096, frame_bytes_default});
  network.delay_max = one_of(random, {Duration{100us}, Duration{2ms}, Duration{50ms}});

  faults_end = random.chance(0.2) ? Duration{0} : Duration{random.between(1, 20) * Duration{1s}};
  const auto rate = [&random] { return one_of(random, {0.0, 0.0, 0.1, 0.5, 2.0}); };
  cuts = rate();
  partitions = rate() / 2;
  pauses = rate() / 2;
  crashes = rate() / 2;
  departures = random.chance(0.3) ? 0.1 : 0;
  sink_dies = random.chance(0.05);

  durable = random.chance(0.5);
  reread = index_job || random.chance(0.5);
  disk_delay = one_of(random, {Duration{100us}, Duration{5ms}, Duration{200ms}});
  const std::uint64_t at_once =
      std::min({sink_window_tasks, worker_credit_tasks, repeatable ? tasks + 1 : workers * slots + std::uint64_t{0}});
  disk_delay =
      std::min(disk_delay, Duration{15s} * static_cast<std::int64_t>(at_once) / static_cast<std::int64_t>(tasks + 1));
  ventilator_crashes = durable ? rate() / 4 : 0;
  sink_crashes = durable ? rate() / 4 : 0;
  stalls = durable ? rate() / 4 : 0;
  sink_dies = sink_dies && !durable;
  stucks = timeout > 0s ? rate() / 2 : 0;
  fails_lost = !repeatable && random.chance(0.6);
}

std::uint64_t Scenario::hash(Number number, std::uint64_t salt) const {
  return Random{(seed ^ salt) * 0x2545f4914f6cdd1dULL + number}.next();
}

Nature Scenario::nature(Number number) const {
  for (std::uint64_t i = 0; i < poisonous; ++i)
    if (number == hash(i, 1) % tasks) return Nature::poisonous;
  for (std::uint64_t i = 0; i < hanging; ++i)
    if (number == hash(i, 2) % tasks) return Nature::hangs;
  const double chance = static_cast<double>(hash(number, 3) >> 11) * 0x1.0p-53;
  if (chance < failing / 2) return Nature::fails;
  return chance < failing ? Nature::fails_once : Nature::good;
}

std::uint64_t Scenario::bytes(Number number) const { return payload_bytes == 0 ? 0 : hash(number, 4) % payload_bytes; }

void Scenario::require_outcome(Number number, Outcome outcome) const {
  const auto expect = [&](bool holds, const char* because) {
    if (!holds)
      throw Violation{"task " + std::to_string(number) + " is " + std::string{to_string(outcome)} + ", but " + because};
  };
  switch (nature(number)) {
    case Nature::good:
      return expect(outcome == Outcome::done, "it is good");
    case Nature::fails_once:
      return expect(outcome == Outcome::done || (tries_max == 1 && outcome == Outcome::failed), "it fails only once");
    case Nature::fails:
      return expect(outcome == Outcome::failed, "it always fails");
    case Nature::poisonous:
      return expect(outcome == Outcome::dead, "it is poisonous");
    case Nature::hangs:
      return expect(outcome == Outcome::failed, "it hangs");
  }
}

std::string Scenario::describe() const {
  std::ostringstream text;
  text << tasks << " tasks of " << to_seconds(typical) << " s (spread " << spread << ")"
       << (index_job ? ", index job" : "") << (folded ? ", folded" : "") << (ordered ? ", ordered" : "")
       << (repeatable   ? ""
           : fails_lost ? ", never run twice"
                        : ", not repeatable")
       << ", tries " << tries_max << ", time-out " << to_seconds(timeout) << " s, failing " << failing << ", poisonous "
       << poisonous << ", hanging " << hanging << ", payload " << payload_bytes << (cancel ? ", cancelled" : "") << "; "
       << workers << " workers of " << slots << " slots, credit " << worker_credit_tasks << " / " << worker_credit_bytes
       << ", sink window " << sink_window_tasks << " / " << sink_window_bytes << ", service "
       << to_seconds(sink_service) << " s, frames " << frame_bytes_max << ", delay " << to_seconds(network.delay_max)
       << " s; faults for " << to_seconds(faults_end) << " s: cuts " << cuts << ", partitions " << partitions
       << ", pauses " << pauses << ", crashes " << crashes << ", departures " << departures << ", stuck slots "
       << stucks << (sink_dies ? ", the sink dies" : "");
  if (durable)
    text << "; durable" << (reread ? ", read again" : "") << ", a sync takes up to " << to_seconds(disk_delay)
         << " s, crashes of the ventilator " << ventilator_crashes << ", of the sink " << sink_crashes << ", stalls "
         << stalls;
  return text.str();
}

}  // namespace ventile::simulation
