// NNG over tcp: PUSH -> two workers -> PULL, a message for each task and one for each result.
#include "peer.hpp"

#include <string>
#include <thread>
#include <vector>

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/supplemental/util/platform.h>

namespace {

constexpr std::uint64_t stop = UINT64_MAX;

struct Message {
  std::uint64_t number;
  std::uint64_t rounds;
};

void check(int error) {
  if (error != 0) peer::fail(nng_strerror(error));
}

std::string listen(nng_socket socket) {
  nng_listener listener;
  check(nng_listen(socket, "tcp://127.0.0.1:0", &listener, 0));
  int port = 0;
  check(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port));
  return "tcp://127.0.0.1:" + std::to_string(port);
}

void send(nng_socket socket, const Message& message) {
  check(nng_send(socket, const_cast<Message*>(&message), sizeof message, 0));
}
Message receive(nng_socket socket) {
  Message message{};
  std::size_t size = sizeof message;
  check(nng_recv(socket, &message, &size, 0));
  return message;
}

}  // namespace

int main(int argc, char** argv) {
  nng_socket tasks_out;
  nng_socket results_in;
  check(nng_push0_open(&tasks_out));
  check(nng_pull0_open(&results_in));
  check(nng_socket_set_int(tasks_out, NNG_OPT_SENDBUF, 8192));
  check(nng_socket_set_int(results_in, NNG_OPT_RECVBUF, 8192));
  const std::string tasks_at = listen(tasks_out);
  const std::string results_at = listen(results_in);
  std::vector<std::thread> workers;
  for (int i = 0; i < 2; ++i)
    workers.emplace_back([&] {
      nng_socket in;
      nng_socket out;
      check(nng_pull0_open(&in));
      check(nng_push0_open(&out));
      check(nng_socket_set_int(in, NNG_OPT_RECVBUF, 1024));
      check(nng_dial(in, tasks_at.c_str(), nullptr, 0));
      check(nng_dial(out, results_at.c_str(), nullptr, 0));
      for (Message message = receive(in); message.number != stop; message = receive(in)) {
        message.number = peer::task(message.number, message.rounds);
        send(out, message);
      }
      nng_close(in);
      nng_msleep(100);  // What is sent leaves first.
      nng_close(out);
    });
  nng_msleep(300);
  const auto all = [&](std::uint64_t tasks, std::uint64_t rounds) {
    std::thread source{[&] {
      for (std::uint64_t i = 0; i < tasks; ++i) send(tasks_out, {i, rounds});
    }};
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < tasks; ++i) sum += receive(results_in).number;
    source.join();
    return sum;
  };
  const int code = peer::run(argc, argv, {all, [&] {
                                            send(tasks_out, {0, 0});
                                            receive(results_in);
                                          }});
  std::fflush(nullptr);
  std::_Exit(code);  // Its sockets know no farewell: a worker may have taken both ends.
}
