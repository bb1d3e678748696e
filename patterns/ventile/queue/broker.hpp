// A broker: a dispatcher that outlives its jobs. Many clients bring tasks, many workers run them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/client_jobs.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/exchange.hpp>
#include <ventile/queue/keeper.hpp>
#include <ventile/queue/role_journal.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

struct BrokerOptions {
  Endpoint bind;
  DispatcherOptions dispatcher;
  std::size_t frame_bytes_max = frame_bytes_default;
  Keys keys;            // A dispatcher's. None: whoever connects may take part.
  std::string durable;  // A folder for the journal of clients' jobs. Empty: none, and no job is kept.
  std::uint64_t keep_bytes = std::uint64_t{10} << 30;  // Of kept results. See KeeperOptions::bytes_max.
  Log log;
};

// Everything on its reactor's thread, or before that runs.
//
// Without a journal it keeps nothing beyond its own life: what is open when it ends is submitted again by the clients
// when they meet another. With one, a job and its tasks are on the disk before the client is told that the broker has
// them, and a broker that is killed, or stopped, and started again with the same folder has all jobs that were open.
// While the disk is full nothing more is accepted, and what was accepted before goes on. Results of jobs whose client
// asked for it are kept in the same folder until they are fetched.
class Broker {
public:
  Broker(Context& context, Reactor& reactor, BrokerOptions options);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Resumes what the journal has, if there is to be one. Code::corrupt or Code::invalid if it is damaged or another
  // role's, Code::unavailable if another process has it.
  Status open_journal();
  // Does that if it was not done, and binds, so that errors come before anything runs. Returns the address with its
  // real port.
  Result<Endpoint> bind();
  // Nothing more will be on the disk, because of `why`: the process should end, and be started again. Called once.
  void on_failed(std::function<void(const std::string& why)> callback) { on_failed_ = std::move(callback); }
  void start();
  // To be called at the end of each of the reactor's turns.
  void on_turn_end();
  // Says goodbye to everybody.
  void stop();

  Report report() const { return dispatcher_.report(reactor_.now()); }

private:
  Reactor& reactor_;
  BrokerOptions options_;
  Log log_;
  IncarnationId incarnation_;
  Dispatcher dispatcher_;
  Actions spent_actions_;  // Empty, for their memory.
  Exchange exchange_;
  ClientJobs jobs_;
  std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<RoleJournal> journal_;
  // An entry of the journal that somebody waits for: the keeper, for that job, or the dispatcher.
  struct Awaited {
    std::uint64_t entry = 0;
    std::uint64_t token = 0;
    std::optional<JobId> kept;
  };
  std::deque<Awaited> awaited_;
  std::uint64_t entries_ = 0;
  std::string failure_;
  std::uint64_t journaled_ = 0;  // Bytes, since the last snapshot, in this life or before.
  std::function<void(const std::string&)> on_failed_;
  TimerId tick_;
  RateLimit refusals_;
  bool stopped_ = false;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);

  ExchangeHandlers handlers();
  KeeperHandlers keeper_handlers();
  bool pass_on(PeerId from, Frame& frame);
  void fail(const std::string& why);
  void append(Awaited awaited, BrokerEntryKind kind, Buffer payload);
  void on_persisted(std::uint64_t entry);
  void write(std::optional<ClientJobs::Entry> entry);
  void maybe_write_snapshot();
  void schedule();
  void carry_out(const PayloadView* payloads);
  void act(const Send& say, const PayloadView*);
  void act(const SendTasks& tasks, const PayloadView*);
  void act(const Forget& forget, const PayloadView*) { exchange_.forget(forget.peer); }
  void act(const Settled& settled, const PayloadView*);
  void act(const JobClosed&, const PayloadView*) {}
  void act(const JobFailed& failed, const PayloadView*) { log_.error("job failed: " + failed.message); }
  void act(const Persist& persist, const PayloadView*) { write(jobs_.record(persist)); }
  void act(const JobResumed& resumed, const PayloadView*);
  void act(const Keep& keep, const PayloadView* payloads);
  void act(const JobForgotten& job, const PayloadView*);
  void act(const Keeping& keeping, const PayloadView*);
  void act(const Notice& notice, const PayloadView*);
};

}  // namespace ventile
