// Looks a host's name up while a reactor goes on turning: a name service may take half a minute to answer.
#pragma once

#include <functional>
#include <memory>

#include <ventile/base/result.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/reactor.hpp>

namespace ventile {

// How a name becomes an address. Called on any thread; may block.
using Resolver = std::function<Result<Endpoint>(const Endpoint&)>;

// resolve() of endpoint.hpp.
Resolver name_service();

// One lookup at a time, each on a thread of its own, which is left behind if nobody waits for its answer any more.
// Everything on the reactor's thread.
class Lookup {
public:
  using OnFound = std::function<void(const Result<Endpoint>& address)>;

  explicit Lookup(Reactor& reactor, Resolver resolver = name_service());
  // Nothing is called any more.
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // Calls on_found in one of the reactor's turns. Does nothing while another is in progress.
  void start(const Endpoint& endpoint, OnFound on_found);
  bool in_progress() const { return on_found_ != nullptr; }

private:
  struct Shared;

  Resolver resolver_;
  OnFound on_found_;
  std::shared_ptr<Shared> shared_;

  void finish(const Result<Endpoint>& address);
};

}  // namespace ventile
