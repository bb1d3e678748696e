// The inputs of tasks that are not written yet, for those who want to have those of failed tasks.
#pragma once

#include <mutex>

#include <ventile/base/buffer.hpp>
#include <ventile/base/range.hpp>
#include <ventile/queue/payload_store.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

// Thread-safe. One that is not wanted keeps nothing.
class KeptInputs {
public:
  explicit KeptInputs(bool wanted) : wanted_(wanted) {}

  bool wanted() const { return wanted_; }
  // Copies them.
  void add(Range range, const PayloadView& payloads) {
    if (!wanted_) return;
    PayloadWriter copy{0};
    copy.append(payloads, 0, payloads.count());
    const std::lock_guard lock(mutex_);
    store_.add(range, std::move(copy));
  }
  // Calls use(Bytes) with the number's input, which must be kept.
  template <class Use>
  void with(Number number, Use use) const {
    const std::lock_guard lock(mutex_);
    use(*store_.find(number));
  }
  void release(Range range) {
    if (!wanted_) return;
    const std::lock_guard lock(mutex_);
    store_.release(range);
  }

private:
  const bool wanted_;
  mutable std::mutex mutex_;  // Guards what follows.
  PayloadStore store_;
};

}  // namespace ventile
