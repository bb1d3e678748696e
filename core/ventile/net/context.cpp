#include <ventile/net/context.hpp>

#include <sys/resource.h>
#include <zmq.h>

#include <stdexcept>
#include <utility>

#include <ventile/base/turns.hpp>
#include <ventile/net/context_state.hpp>
#include <ventile/net/gatekeeper.hpp>

#if defined(__SANITIZE_THREAD__)
// What libzmq, and libsodium for it, does to its own memory is its own affair; see handover.hpp for ours. Nor is
// libstdc++ instrumented: it is not seen that the count of those who hold an exception has fallen to zero before the
// last of them frees it. What a message says of its sender was written by libzmq's thread before the message came to
// us.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libzmq.so\ncalled_from_lib:libsodium.so\nrace:std::__exception_ptr::exception_ptr::_M_"
         "release\n"
         "race:ventile::Frame::user_id\n";
}
#endif

namespace ventile {

Context::State::State(ContextOptions options, Log where) : handle(zmq_ctx_new()), log(std::move(where)) {
  if (handle == nullptr) throw std::runtime_error("libzmq cannot make a context: " + std::string(zmq_strerror(errno)));
  zmq_ctx_set(handle, ZMQ_IO_THREADS, options.io_threads);
  zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, options.sockets_max);
  zmq_ctx_set(handle, ZMQ_BLOCKY, 0);  // Also for the sockets that libzmq opens for itself.
}

Context::State::~State() {
  if (keeper != nullptr) zmq_ctx_shutdown(handle);  // Ends its thread.
  keeper.reset();
  while (zmq_ctx_term(handle) != 0 && errno == EINTR) {
  }
}

void* Context::State::open(const void* owner, int kind, const char* kind_name) {
  const ShortTurns short_turns;  // For the threads that libzmq starts with the first socket.
  void* const socket = zmq_socket(handle, kind);
  if (socket == nullptr) {
    throw std::runtime_error(std::string("Cannot open a ") + kind_name + " socket: " + zmq_strerror(errno));
  }
  std::lock_guard lock(mutex);
  open_sockets.emplace(owner, kind_name);
  return socket;
}

void Context::State::close(const void* owner, void* socket) {
  zmq_close(socket);
  std::lock_guard lock(mutex);
  open_sockets.erase(owner);
}

void Context::State::describe(const void* owner, const std::string& use) {
  std::lock_guard lock(mutex);
  open_sockets.at(owner) += " " + use;
}

Gatekeeper& Context::State::gatekeeper() {
  std::lock_guard lock(mutex);
  if (keeper == nullptr) keeper = std::make_unique<Gatekeeper>(handle, log);
  return *keeper;
}

Context::Context(ContextOptions options, Log log) : state_(std::make_shared<State>(options, std::move(log))) {}

Context::~Context() {
  std::lock_guard lock(state_->mutex);
  if (state_->open_sockets.empty()) return;
  for (const auto& [owner, name] : state_->open_sockets) {
    state_->log.error("The ZeroMQ context ends before this socket: " + name + ".");
  }
  state_->ended = true;
  zmq_ctx_shutdown(state_->handle);
  state_->switchboard.ring_all();
}

int Context::open_sockets() const {
  std::lock_guard lock(state_->mutex);
  return static_cast<int>(state_->open_sockets.size());
}

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : UINT64_MAX;
}

}  // namespace ventile
