#include "bench/raw_chain.hpp"

#include <zmq.h>

#include <array>
#include <semaphore>
#include <stdexcept>
#include <thread>

#include <ventile/base/clock.hpp>

namespace ventile::bench {
namespace {

constexpr int high_water = 100'000;       // Messages. More gains nothing; the default of 1,000 costs up to a third.
constexpr std::size_t copied_max = 1024;  // Smaller messages cost less when copied.
constexpr int silence_milliseconds_max = 60'000;

void check(bool well) {
  if (!well) throw std::runtime_error(std::string{"libzmq: "} + zmq_strerror(zmq_errno()));
}

}  // namespace

RawContext::RawContext() : handle_(zmq_ctx_new()) {}
RawContext::~RawContext() { zmq_ctx_term(handle_); }

RawSocket::RawSocket(const RawContext& context, int kind) : socket_(zmq_socket(context.handle(), kind)) {
  check(socket_ != nullptr);
  for (const int option : {ZMQ_SNDHWM, ZMQ_RCVHWM})
    check(zmq_setsockopt(socket_, option, &high_water, sizeof high_water) == 0);
  for (const int option : {ZMQ_SNDTIMEO, ZMQ_RCVTIMEO, ZMQ_LINGER})
    check(zmq_setsockopt(socket_, option, &silence_milliseconds_max, sizeof silence_milliseconds_max) == 0);
}
RawSocket::~RawSocket() { zmq_close(socket_); }

std::string RawSocket::bind(const std::string& address) {
  check(zmq_bind(socket_, address.c_str()) == 0);
  std::array<char, 256> bound{};
  std::size_t size = bound.size();
  check(zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, bound.data(), &size) == 0);
  return bound.data();
}

void RawSocket::connect(const std::string& address) { check(zmq_connect(socket_, address.c_str()) == 0); }

void RawSocket::send(const void* bytes, std::size_t size, int flags) {
  check(zmq_send(socket_, bytes, size, flags) >= 0);
}

std::size_t RawSocket::receive(void* bytes, std::size_t size) {
  const int received = zmq_recv(socket_, bytes, size, 0);
  check(received >= 0);
  return static_cast<std::size_t>(received);
}

void RawSocket::send_constant(void* bytes, std::size_t size) {
  zmq_msg_t message;
  check(zmq_msg_init_data(
            &message, bytes, size, [](void*, void*) {}, nullptr) == 0);
  check(zmq_msg_send(&message, socket_, 0) >= 0);
}

std::size_t RawSocket::receive_in_place() {
  zmq_msg_t message;
  zmq_msg_init(&message);
  const int received = zmq_msg_recv(&message, socket_, 0);
  check(received >= 0);
  zmq_msg_close(&message);
  return static_cast<std::size_t>(received);
}

void RawSocket::forward_to(RawSocket& other) {
  zmq_msg_t message;
  zmq_msg_init(&message);
  check(zmq_msg_recv(&message, socket_, 0) >= 0);
  check(zmq_msg_send(&message, other.socket_, 0) >= 0);
}

void raw_ventilator(const RawContext& context, const std::string& worker, const RawJob& job) {
  RawSocket push{context, ZMQ_PUSH};
  push.connect(worker);
  // static, for libzmq may still be sending when this has returned.
  static std::vector<char> task;
  task.resize(job.bytes);
  if (job.bytes > copied_max)
    for (std::uint64_t i = 0; i < job.tasks; ++i) push.send_constant(task.data(), task.size());
  else
    for (std::uint64_t i = 0; i < job.tasks; ++i) push.send(task.data(), task.size());
}

void raw_worker(const RawContext& context, const std::string& bind, const std::string& sink, const RawJob& job,
                const Announce& announce) {
  RawSocket pull{context, ZMQ_PULL};
  RawSocket push{context, ZMQ_PUSH};
  push.connect(sink);
  announce(pull.bind(bind));
  std::array<char, copied_max> task{};
  if (job.bytes > copied_max)
    for (std::uint64_t i = 0; i < job.tasks; ++i) pull.forward_to(push);
  else
    for (std::uint64_t i = 0; i < job.tasks; ++i) push.send(task.data(), pull.receive(task.data(), task.size()));
}

double raw_sink(const RawContext& context, const std::string& bind, const RawJob& job, const Announce& announce) {
  RawSocket pull{context, ZMQ_PULL};
  announce(pull.bind(bind));
  std::array<char, copied_max> task{};
  const auto receive = [&] {
    return job.bytes > copied_max ? pull.receive_in_place() : pull.receive(task.data(), task.size());
  };
  std::size_t bytes = receive();
  const TimePoint first = Clock::now();
  for (std::uint64_t i = 1; i < job.tasks; ++i) bytes += receive();
  const double seconds = to_seconds(Clock::now() - first);
  if (bytes != job.tasks * job.bytes) throw std::runtime_error("the raw chain lost bytes");
  return seconds;
}

std::vector<double> raw_lone_tasks(const std::string& router_address, const std::string& pull_address,
                                   std::size_t count) {
  RawContext context;
  RawSocket router{context, ZMQ_ROUTER};
  RawSocket pull{context, ZMQ_PULL};
  const std::string dispatcher = router.bind(router_address);
  const std::string sink = pull.bind(pull_address);
  std::binary_semaphore given{0};  // To the thread that would run the task ...
  std::binary_semaphore done{0};   // ... and back.
  std::binary_semaphore collected{0};
  const std::jthread running{[&] {
    for (std::size_t i = 0; i < count; ++i) {
      given.acquire();
      done.release();
    }
  }};
  const std::jthread working{[&] {
    RawSocket dealer{context, ZMQ_DEALER};
    RawSocket push{context, ZMQ_PUSH};
    dealer.connect(dispatcher);
    push.connect(sink);
    std::array<char, task_bytes> task{};
    dealer.send(task.data(), task.size());  // So that the router knows it.
    for (std::size_t i = 0; i < count; ++i) {
      dealer.receive(task.data(), task.size());
      given.release();
      done.acquire();
      push.send(task.data(), task.size());
    }
  }};
  const std::jthread collecting{[&] {
    std::array<char, task_bytes> task{};
    for (std::size_t i = 0; i < count; ++i) {
      pull.receive(task.data(), task.size());
      collected.release();
    }
  }};
  std::array<char, task_bytes> routing_id{};
  std::array<char, task_bytes> task{};
  const std::size_t size = router.receive(routing_id.data(), routing_id.size());
  router.receive(task.data(), task.size());
  std::vector<double> seconds(count);
  for (double& each : seconds) {
    const TimePoint start = Clock::now();
    router.send(routing_id.data(), size, ZMQ_SNDMORE);
    router.send(task.data(), task.size());
    collected.acquire();
    each = to_seconds(Clock::now() - start);
  }
  return seconds;
}

}  // namespace ventile::bench
