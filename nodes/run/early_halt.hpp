// --halt where tasks end: the gate closes before the slot of the task that decides it is free again, so that no task
// starts behind it. The ventilator finds out a little later and cancels what is queued.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include <nodes/halt.hpp>
#include <nodes/run/slot_gate.hpp>

namespace ventile {

// Thread-safe.
class EarlyHalt {
public:
  EarlyHalt(std::optional<HaltRule> rule, std::shared_ptr<SlotGate> gate) : rule_(rule), gate_(std::move(gate)) {}

  // A task has ended for good. A percentage is not decided here: the total may not be known.
  void on_ended(bool succeeded);
  // The rule has been met, here or where all is counted.
  void set_reached();
  bool reached() const { return reached_; }

private:
  std::optional<HaltRule> rule_;
  std::shared_ptr<SlotGate> gate_;
  std::mutex mutex_;
  HaltCounts counts_;
  std::atomic<bool> reached_{false};
};

}  // namespace ventile
