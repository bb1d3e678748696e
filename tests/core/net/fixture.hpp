// What the tests of net share: a context, a loop that turns until something has happened, and addresses to meet at.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ventile/net/context.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>

namespace ventile {

Endpoint endpoint(std::string_view text);  // Of a text that is right.
Frame frame(std::string_view text);
std::string text(const Frame& frame);

// A folder that is gone after the test.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(std::string_view name) const { return (folder_ / name).string(); }

private:
  std::filesystem::path folder_;
};

class NetTest : public testing::Test {
protected:
  // Turns the reactor until `done`, which is asked at every turn's end and at least every millisecond. False if it is
  // not done after a time that only a broken test needs.
  bool turn_until(const std::function<bool()>& done);

  // Collects what arrives, as text.
  template <class SocketType>
  std::vector<std::string>& collect(SocketType& socket) {
    auto& texts = collected_.emplace_back(std::make_unique<std::vector<std::string>>());
    reactor.add(socket, [&socket, &texts = *texts] {
      Frame received;
      if (!socket.receive(received)) return Reading::drained;
      texts.push_back(text(received));
      return Reading::more;
    });
    return *texts;
  }

  // Collects what happens to the connections.
  std::vector<ConnectionEvent>& collect_events(Monitor& monitor);

  // Sends every text back to whom it came from, if it is still there.
  void echo(RouterSocket& router);

  // Sends, waiting for a connection or for room.
  template <class SocketType>
  void send(SocketType& socket, std::string_view message) {
    Frame outgoing = frame(message);
    ASSERT_TRUE(turn_until([&] { return socket.send(outgoing) == SendOutcome::sent; }));
  }

  TemporaryFolder folder;
  Context context;
  Reactor reactor;

private:
  std::vector<std::unique_ptr<std::vector<std::string>>> collected_;
  std::vector<std::unique_ptr<std::vector<ConnectionEvent>>> events_;
};

}  // namespace ventile
