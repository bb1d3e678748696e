// Waits until a name can be looked up, for a node that must know where its dispatcher is before it can begin.
#pragma once

#include <condition_variable>
#include <mutex>

#include <ventile/base/log.hpp>
#include <ventile/net/lookup.hpp>

namespace ventile {

// Thread-safe: one thread waits, another may end that.
class NameWait {
public:
  // True once `endpoint` can be looked up, at once if it has no name; false if it was told to stop. The first failure
  // is logged.
  bool wait(const Endpoint& endpoint, const Log& log, const Resolver& resolver = name_service());
  // For waits of now and later.
  void stop();

private:
  static constexpr Duration interval = std::chrono::seconds{1};

  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stopped_ = false;
};

}  // namespace ventile
