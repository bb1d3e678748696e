#include "fixture.hpp"

#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace ventile {

Endpoint endpoint(std::string_view text) {
  Result<Endpoint> parsed = Endpoint::parse(text);
  if (!parsed) throw std::invalid_argument(parsed.error().message);
  return *std::move(parsed);
}

Frame frame(std::string_view text) { return Frame::copy_of(as_bytes(text)); }
std::string text(const Frame& frame) { return std::string(as_text(frame.bytes())); }

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "ventile-net-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  folder_ = name;
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(folder_); }

bool NetTest::turn_until(const std::function<bool()>& done) {
  bool is_done = false;
  const TimerId give_up = reactor.call_at(reactor.now() + std::chrono::seconds{60}, [this] { reactor.stop(); });
  TimerId tick;
  const std::function<void()> set_tick = [&] {
    tick = reactor.call_at(reactor.now() + std::chrono::milliseconds{1}, set_tick);
  };
  tick = reactor.call_at(reactor.now(), set_tick);
  reactor.on_turn_end([&] {
    is_done = is_done || done();
    if (is_done) reactor.stop();
  });
  reactor.run();
  reactor.on_turn_end({});
  reactor.cancel(tick);
  reactor.cancel(give_up);
  return is_done;
}

std::vector<ConnectionEvent>& NetTest::collect_events(Monitor& monitor) {
  auto& events = events_.emplace_back(std::make_unique<std::vector<ConnectionEvent>>());
  reactor.add(monitor, [&monitor, &events = *events] {
    ConnectionEvent event;
    if (!monitor.receive(event)) return Reading::drained;
    events.push_back(std::move(event));
    return Reading::more;
  });
  return *events;
}

void NetTest::echo(RouterSocket& router) {
  reactor.add(router, [&router] {
    RoutingId peer;
    Frame received;
    if (!router.receive(peer, received)) return Reading::drained;
    EXPECT_NE(router.send(peer, received), SendOutcome::would_block);
    return Reading::more;
  });
}

}  // namespace ventile
