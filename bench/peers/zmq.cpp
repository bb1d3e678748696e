// Raw libzmq over tcp: PUSH -> two workers -> PULL, a message for each task and one for each result. It remembers
// nothing.
#include "peer.hpp"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include <zmq.h>

namespace {

constexpr std::uint64_t stop = UINT64_MAX;

struct Message {
  std::uint64_t number;
  std::uint64_t rounds;
};

void* open(void* context, int type) {
  void* const socket = zmq_socket(context, type);
  const int unlimited = 0;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
  return socket;
}

std::string bind(void* socket) {
  std::array<char, 128> bound{};
  std::size_t size = bound.size();
  if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound.data(), &size) != 0)
    peer::fail(zmq_strerror(zmq_errno()));
  return bound.data();
}

}  // namespace

int main(int argc, char** argv) {
  void* const context = zmq_ctx_new();
  zmq_ctx_set(context, ZMQ_IO_THREADS, 2);
  void* const tasks_out = open(context, ZMQ_PUSH);
  void* const results_in = open(context, ZMQ_PULL);
  const std::string tasks_at = bind(tasks_out);
  const std::string results_at = bind(results_in);
  std::vector<std::thread> workers;
  for (int i = 0; i < 2; ++i)
    workers.emplace_back([&] {
      void* const in = open(context, ZMQ_PULL);
      void* const out = open(context, ZMQ_PUSH);
      zmq_connect(in, tasks_at.c_str());
      zmq_connect(out, results_at.c_str());
      for (Message message{}; zmq_recv(in, &message, sizeof message, 0) > 0 && message.number != stop;) {
        message.number = peer::task(message.number, message.rounds);
        zmq_send(out, &message, sizeof message, 0);
      }
      zmq_close(in);
      zmq_close(out);
    });
  std::this_thread::sleep_for(std::chrono::milliseconds{300});  // Both are connected, or the first gets everything.
  const auto all = [&](std::uint64_t tasks, std::uint64_t rounds) {
    std::thread source{[&] {
      for (std::uint64_t i = 0; i < tasks; ++i) {
        const Message message{i, rounds};
        zmq_send(tasks_out, &message, sizeof message, 0);
      }
    }};
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < tasks; ++i) {
      Message message{};
      zmq_recv(results_in, &message, sizeof message, 0);
      sum += message.number;
    }
    source.join();
    return sum;
  };
  const int code = peer::run(argc, argv, {all, [&] {
                                            Message message{};
                                            zmq_send(tasks_out, &message, sizeof message, 0);
                                            zmq_recv(results_in, &message, sizeof message, 0);
                                          }});
  const Message last{stop, 0};
  for (int i = 0; i < 2; ++i) zmq_send(tasks_out, &last, sizeof last, 0);
  for (std::thread& worker : workers) worker.join();
  zmq_close(tasks_out);
  zmq_close(results_in);
  zmq_ctx_term(context);
  return code;
}
