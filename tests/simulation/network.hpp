// Connections as TCP and ZeroMQ make them: in order, late, and gone without a word.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/clock.hpp>

#include "tests/simulation/world.hpp"

namespace ventile::simulation {

class Network;

enum class Side : std::uint8_t { client, server };
inline Side other(Side side) { return side == Side::client ? Side::server : Side::client; }

// Between two processes, until it is cut. Each side learns of the cut by itself, at once, later or not for a long time;
// what it sends until then is lost, and so is everything that was on its way.
class Connection : public std::enable_shared_from_this<Connection> {
public:
  using OnFrame = std::function<void(Buffer)>;
  using OnLost = std::function<void()>;

  Connection(Network& network, std::shared_ptr<Process> client, std::shared_ptr<Process> server);

  // What to do, in the process at that side, with a frame that arrives, and when the connection is known to be lost.
  void attach(Side side, OnFrame on_frame, OnLost on_lost);
  void send(Side from, Buffer frame);
  // Frames that the other side has not read, as far as the sender can know.
  std::size_t unread(Side from) const { return ends_[index(from)].unread; }
  // The process at this side has read one: only now is there room for another.
  void read(Side side);
  void when_room(Side from, std::function<void()> what) { ends_[index(from)].when_room = std::move(what); }

  void cut();
  bool is_cut() const { return cut_; }
  bool known_lost(Side side) const { return ends_[index(side)].knows; }
  bool touches(const Process& process) const;
  std::string name() const;

private:
  friend class Network;

  struct End {
    std::weak_ptr<Process> process;
    std::string name;
    std::shared_ptr<const OnFrame> on_frame;  // Which may be replaced while it runs.
    OnLost on_lost;
    std::function<void()> when_room;
    TimePoint last_arrival{};  // Of what it has sent.
    std::size_t unread = 0;
    bool knows = false;
  };

  Network& network_;
  std::array<End, 2> ends_;
  bool cut_ = false;

  static std::size_t index(Side side) { return static_cast<std::size_t>(side); }
  void learn(Side side);
};

struct NetworkOptions {
  Duration delay_min = std::chrono::microseconds{20};
  Duration delay_max = std::chrono::milliseconds{2};
};

class Network {
public:
  using Accept = std::function<void(std::shared_ptr<Connection>)>;

  Network(World& world, NetworkOptions options) : world_(world), options_(options) {}

  void listen(const std::string& address, const std::shared_ptr<Process>& server, Accept accept);
  // Nothing if nobody listens there, or nobody can be reached.
  std::shared_ptr<Connection> connect(const std::string& address, const std::shared_ptr<Process>& client);

  // Nothing passes between the two for so long; TCP delivers it afterwards.
  void partition(const std::string& a, const std::string& b, Duration duration);
  // The process is dead: all its connections are cut.
  void drop(const Process& process);
  // Those that are not cut, the oldest first.
  std::vector<std::shared_ptr<Connection>> connections();
  // No more faults: what is lost is known to be lost soon, and nothing is kept apart any more.
  void calm();

  World& world() { return world_; }

private:
  friend class Connection;

  struct Listener {
    std::weak_ptr<Process> server;
    Accept accept;
  };

  World& world_;
  NetworkOptions options_;
  std::map<std::string, Listener> listeners_;
  std::vector<std::weak_ptr<Connection>> connections_;
  std::map<std::pair<std::string, std::string>, TimePoint> apart_until_;
  bool calm_ = false;

  TimePoint apart_until(const std::string& a, const std::string& b) const;
  Duration delay() { return world_.draw(options_.delay_min, options_.delay_max); }
  Duration time_to_learn();
};

// The side that connects, and connects again for ever, as a DEALER or PUSH socket with ZMQ_IMMEDIATE does: what it is
// given while it has no connection waits in front of it.
class Connector {
public:
  Connector(Network& network, Process& process, std::string address)
      : network_(network), process_(process), address_(std::move(address)) {}

  // `on_lost` is told whenever a connection broke, `on_open` whenever there is a new one.
  void start(Connection::OnFrame on_frame, std::function<void()> on_lost, std::function<void()> on_open);
  bool connected() const { return connection_ != nullptr; }
  std::size_t unread() const { return connection_ ? connection_->unread(Side::client) : 0; }
  void send(Buffer frame) { connection_->send(Side::client, std::move(frame)); }  // connected()
  // One frame of the other side has been read: there is room for another.
  void read() {
    if (connection_) connection_->read(Side::client);
  }
  void when_room(std::function<void()> what) { when_room_ = std::move(what); }
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

private:
  Network& network_;
  Process& process_;
  std::string address_;
  std::shared_ptr<Connection> connection_;
  Connection::OnFrame on_frame_;
  std::function<void()> on_lost_;
  std::function<void()> on_open_;
  std::function<void()> when_room_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  void try_to_connect();
};

}  // namespace ventile::simulation
