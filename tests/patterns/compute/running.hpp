// A broker and workers on threads of the test, over tcp.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include <ventile/keys/keys.hpp>
#include <ventile/queue/broker.hpp>
#include <ventile/ventile.hpp>

namespace ventile {

// A broker with its thread; `durable` is the folder of its journal. One that is destroyed says goodbye to nobody.
class RunningBroker {
public:
  explicit RunningBroker(std::uint16_t port = 0, Keys keys = {}, std::string durable = {}, Log log = {})
      : broker_(context_, reactor_, options(port, std::move(keys), std::move(durable), std::move(log))) {
    const Result<Endpoint> bound = broker_.bind();
    EXPECT_TRUE(bound) << bound.error().message;
    address = *bound;
    broker_.start();
    reactor_.on_turn_end([this] { broker_.on_turn_end(); });
    thread_ = std::thread([this] { reactor_.run(); });
  }
  ~RunningBroker() {
    reactor_.stop();
    thread_.join();
  }
  RunningBroker(const RunningBroker&) = delete;
  RunningBroker& operator=(const RunningBroker&) = delete;

  Endpoint address;

private:
  Context context_;
  Reactor reactor_;
  Broker broker_;
  std::thread thread_;

  static BrokerOptions options(std::uint16_t port, Keys keys, std::string durable, Log log) {
    BrokerOptions options;
    options.log = std::move(log);
    options.keys = std::move(keys);
    options.durable = std::move(durable);
    options.bind = {Transport::tcp, "127.0.0.1", port};
    options.dispatcher.client_grace = std::chrono::milliseconds{300};
    options.dispatcher.heartbeat = std::chrono::milliseconds{100};
    return options;
  }
};

class RunningWorker {
public:
  RunningWorker(const TaskRegistry& tasks, const Endpoint& address, std::string name)
      : thread_([&tasks, address, name = std::move(name)](std::stop_token stop) {
          work(tasks, address.to_string(), {.slots = 2, .name = name, .stop = stop});
        }) {}

private:
  std::jthread thread_;
};

}  // namespace ventile
