#include <nodes/name_wait.hpp>

namespace ventile {

bool NameWait::wait(const Endpoint& endpoint, const Log& log, const Resolver& resolver) {
  for (bool said = false;; said = true) {
    const Result<Endpoint> address = resolver(endpoint);
    if (address) return true;
    if (!said) log.warning(address.error().message + " It is looked up again until it can be.");
    std::unique_lock lock{mutex_};
    if (stopping_.wait_for(lock, interval, [this] { return stopped_; })) return false;
  }
}

void NameWait::stop() {
  const std::lock_guard lock{mutex_};
  stopped_ = true;
  stopping_.notify_all();
}

}  // namespace ventile
