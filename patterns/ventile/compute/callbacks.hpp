// The thread on which a pool calls what its user has attached to futures, so that it never holds the pool up.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include <ventile/base/log.hpp>

namespace ventile::detail {

// The thread starts with the first call. Any thread may post; calls come in the order of posting. What a function
// throws is said in the log and otherwise forgotten. The destructor lets what was posted finish; from within a call it
// does not wait for that.
class Callbacks {
public:
  explicit Callbacks(Log log);
  ~Callbacks();
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;

  void post(std::function<void()> function);

private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the thread.
  std::thread thread_;
};

}  // namespace ventile::detail
