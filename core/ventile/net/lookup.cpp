#include <ventile/net/lookup.hpp>

#include <pthread.h>
#include <signal.h>

#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace ventile {

// What the thread may touch, however long it takes. The lock is held while it posts: the reactor outlives the Lookup.
struct Lookup::Shared {
  std::mutex mutex;
  Reactor* reactor;  // Null: nobody waits.
  Lookup* owner;     // Only on the reactor's thread. Null: as above.
};

Resolver name_service() {
  return [](const Endpoint& endpoint) { return resolve(endpoint); };
}

Lookup::Lookup(Reactor& reactor, Resolver resolver)
    : resolver_(std::move(resolver)), shared_(std::make_shared<Shared>()) {
  shared_->reactor = &reactor;
  shared_->owner = this;
}

Lookup::~Lookup() {
  const std::lock_guard lock{shared_->mutex};
  shared_->reactor = nullptr;
  shared_->owner = nullptr;
}

void Lookup::start(const Endpoint& endpoint, OnFound on_found) {
  if (in_progress()) return;
  on_found_ = std::move(on_found);
  auto look = [shared = shared_, resolver = resolver_, endpoint] {
    Result<Endpoint> address = resolver(endpoint);
    const std::lock_guard lock{shared->mutex};
    if (shared->reactor == nullptr) return;
    shared->reactor->post([shared, address = std::move(address)] {
      if (shared->owner != nullptr) shared->owner->finish(address);
    });
  };
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // Signals are for the threads of our host.
  try {
    std::thread{std::move(look)}.detach();
  } catch (const std::system_error& error) {
    shared_->reactor->post([shared = shared_, why = std::string{error.what()}] {
      if (shared->owner != nullptr)
        shared->owner->finish(Error{Code::unavailable, "No thread to look a host up: " + why + "."});
    });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Lookup::finish(const Result<Endpoint>& address) { std::exchange(on_found_, nullptr)(address); }

}  // namespace ventile
