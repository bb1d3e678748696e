// A broker: a dispatcher that outlives its jobs. Many clients bring tasks, many workers run them.
#pragma once

#include <memory>
#include <unordered_map>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/exchange.hpp>
#include <ventile/queue/payload_store.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

struct BrokerOptions {
  Endpoint bind;
  DispatcherOptions dispatcher;
  std::size_t frame_bytes_max = frame_bytes_default;
  Keys keys;  // A dispatcher's. None: whoever connects may take part.
  Log log;
};

// Everything on its reactor's thread, or before that runs. It keeps no task of its own: what is open when it ends is
// submitted again by the clients when they meet another.
class Broker {
public:
  Broker(Context& context, Reactor& reactor, BrokerOptions options);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Binds, so that errors come before anything runs. Returns the address with its real port.
  Result<Endpoint> bind();
  void start();
  // To be called at the end of each of the reactor's turns.
  void on_turn_end() { carry_out(nullptr); }
  // Says goodbye to everybody.
  void stop();

  Report report() const { return dispatcher_.report(reactor_.now()); }

private:
  struct Job {
    PayloadStore store;
    bool has_payloads = false;
  };

  Reactor& reactor_;
  BrokerOptions options_;
  Log log_;
  IncarnationId incarnation_;
  Dispatcher dispatcher_;
  Exchange exchange_;
  std::unordered_map<JobId, Job> jobs_;
  TimerId tick_;
  RateLimit refusals_;
  bool stopped_ = false;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);

  ExchangeHandlers handlers();
  bool pass_on(PeerId from, Frame& frame);
  void schedule();
  void carry_out(const PayloadView* payloads);
  void act(const Send& say, const PayloadView*) { exchange_.send(say.to, say.job, say.session, say.message); }
  void act(const SendTasks& tasks, const PayloadView*);
  void act(const Forget& forget, const PayloadView*) { exchange_.forget(forget.peer); }
  void act(const Settled& settled, const PayloadView*);
  void act(const JobClosed&, const PayloadView*) {}
  void act(const JobFailed& failed, const PayloadView*) { log_.error("job failed: " + failed.message); }
  void act(const Persist&, const PayloadView*) {}     // Of durable jobs only,
  void act(const JobResumed&, const PayloadView*) {}  // and a broker has none.
  void act(const Keep& keep, const PayloadView* payloads);
  void act(const JobForgotten& job, const PayloadView*) { jobs_.erase(job.job); }
  void act(const Notice& notice, const PayloadView*);
};

}  // namespace ventile
