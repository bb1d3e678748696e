#include "tests/simulation/network.hpp"

#include <algorithm>

namespace ventile::simulation {

using namespace std::chrono_literals;

// --- Connection --------------------------------------------------------------------------------------------------

Connection::Connection(Network& network, std::shared_ptr<Process> client, std::shared_ptr<Process> server)
    : network_(network) {
  ends_[index(Side::client)].name = client->name();
  ends_[index(Side::server)].name = server->name();
  ends_[index(Side::client)].process = client;
  ends_[index(Side::server)].process = server;
}

void Connection::attach(Side side, OnFrame on_frame, OnLost on_lost) {
  ends_[index(side)].on_frame = on_frame ? std::make_shared<const OnFrame>(std::move(on_frame)) : nullptr;
  ends_[index(side)].on_lost = std::move(on_lost);
}

std::string Connection::name() const { return ends_[0].name + " -> " + ends_[1].name; }

bool Connection::touches(const Process& process) const {
  return std::any_of(ends_.begin(), ends_.end(), [&](const End& end) { return end.process.lock().get() == &process; });
}

void Connection::send(Side from, Buffer frame) {
  End& sender = ends_[index(from)];
  ++sender.unread;
  if (cut_) return;
  World& world = network_.world_;
  const TimePoint earliest =
      std::max(world.now(), network_.apart_until(ends_[0].name, ends_[1].name)) + network_.delay();
  sender.last_arrival = std::max(earliest, sender.last_arrival + 1ns);
  world.after(sender.last_arrival - world.now(),
              [self = shared_from_this(), to = other(from), frame = std::move(frame)]() mutable {
                const auto process = self->ends_[index(to)].process.lock();
                if (self->cut_ || process == nullptr) return;
                process->run([self = std::move(self), to, frame = std::move(frame)]() mutable {
                  if (const auto on_frame = self->ends_[index(to)].on_frame) (*on_frame)(std::move(frame));
                });
              });
}

void Connection::read(Side side) {
  End& sender = ends_[index(other(side))];
  if (sender.unread > 0) --sender.unread;
  if (cut_ || !sender.when_room) return;
  if (const auto process = sender.process.lock()) process->after(network_.delay(), sender.when_room);
}

void Connection::cut() {
  if (std::exchange(cut_, true)) return;
  if (network_.world_.tracing()) network_.world_.trace("network: " + name() + " is cut");
  for (const Side side : {Side::client, Side::server}) learn(side);
}

void Connection::learn(Side side) {
  network_.world_.after(network_.time_to_learn(), [self = shared_from_this(), side] {
    End& end = self->ends_[index(side)];
    const auto process = end.process.lock();
    if (end.knows || process == nullptr) return;
    process->run([self, side] {
      End& there = self->ends_[index(side)];
      if (std::exchange(there.knows, true)) return;
      if (const OnLost on_lost = there.on_lost) on_lost();
    });
  });
}

// --- Network -----------------------------------------------------------------------------------------------------

void Network::listen(const std::string& address, const std::shared_ptr<Process>& server, Accept accept) {
  listeners_[address] = {server, std::move(accept)};
}

std::shared_ptr<Connection> Network::connect(const std::string& address, const std::shared_ptr<Process>& client) {
  const auto it = listeners_.find(address);
  const auto server = it == listeners_.end() ? nullptr : it->second.server.lock();
  if (server == nullptr || server->exited() || apart_until(client->name(), server->name()) > world_.now())
    return nullptr;
  auto connection = std::make_shared<Connection>(*this, client, server);
  std::erase_if(connections_, [](const auto& old) { return old.expired(); });
  connections_.push_back(connection);
  it->second.accept(connection);
  return connection;
}

void Network::partition(const std::string& a, const std::string& b, Duration duration) {
  apart_until_[std::minmax(a, b)] = world_.now() + duration;
}

TimePoint Network::apart_until(const std::string& a, const std::string& b) const {
  const auto it = apart_until_.find(std::minmax(a, b));
  return it == apart_until_.end() ? TimePoint{} : it->second;
}

std::vector<std::shared_ptr<Connection>> Network::connections() {
  std::vector<std::shared_ptr<Connection>> open;
  for (const auto& weak : connections_)
    if (auto connection = weak.lock(); connection != nullptr && !connection->is_cut())
      open.push_back(std::move(connection));
  return open;
}

void Network::drop(const Process& process) {
  for (const auto& connection : connections())
    if (connection->touches(process)) connection->cut();
}

void Network::calm() {
  calm_ = true;
  apart_until_.clear();
  for (const auto& weak : connections_)
    if (const auto connection = weak.lock(); connection != nullptr && connection->is_cut())
      for (const Side side : {Side::client, Side::server}) connection->learn(side);
}

// A reset arrives at once; a host that is gone answers nothing, until keepalive gives up.
Duration Network::time_to_learn() {
  Random& random = world_.random();
  if (calm_ || random.chance(0.5)) return delay();
  return random.chance(0.6) ? world_.draw(1ms, 1s) : world_.draw(1s, 60s);
}

// --- Connector ---------------------------------------------------------------------------------------------------

Connector::~Connector() {
  *alive_ = false;
  if (connection_ == nullptr) return;
  connection_->attach(Side::client, {}, {});
  connection_->when_room(Side::client, {});
  connection_->cut();
}

void Connector::start(Connection::OnFrame on_frame, std::function<void()> on_lost, std::function<void()> on_open) {
  on_frame_ = std::move(on_frame);
  on_lost_ = std::move(on_lost);
  on_open_ = std::move(on_open);
  try_to_connect();
}

void Connector::try_to_connect() {
  connection_ = network_.connect(address_, process_.shared_from_this());
  if (connection_ == nullptr) {
    const Duration pause = network_.world().draw(100ms, 1s);
    return process_.after(pause, [this, alive = alive_] {
      if (*alive) try_to_connect();
    });
  }
  connection_->attach(Side::client, on_frame_, [this, alive = alive_] {
    if (!*alive) return;
    connection_.reset();
    on_lost_();
    process_.after(network_.world().draw(100ms, 200ms), [this, alive] {
      if (*alive) try_to_connect();
    });
  });
  connection_->when_room(Side::client, when_room_);
  on_open_();
}

}  // namespace ventile::simulation
