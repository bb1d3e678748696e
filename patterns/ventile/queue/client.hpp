// A client of a broker: brings the tasks of any number of jobs, and takes their results.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/link.hpp>
#include <ventile/queue/payload_store.hpp>
#include <ventile/queue/submission.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

struct ClientOptions {
  Endpoint connect;   // The broker's address.
  Keys keys;          // A client's or an admin's, if the broker has any.
  std::string name;   // For people; empty: host:pid.
  std::string build;  // Version of the program, for people.
  // Where workers send results; none: by way of the broker, so that nobody need reach this process.
  // With keys always so, for workers know the key of no client.
  std::optional<Endpoint> results;
  std::size_t frame_bytes_max = frame_bytes_default;
  std::uint64_t window_tasks = std::uint64_t{1} << 22;
  std::uint64_t window_bytes = std::uint64_t{64} << 20;
  Log log;
};

// Results that count, of tasks with consecutive numbers.
struct Arrival {
  Range range;
  const Results* results = nullptr;  // The whole message, of which `range` is a part; its views point into `memory`.
  std::shared_ptr<const void> memory;
  std::string worker;  // Its name.

  // The index of a number's payload and failure in `results`. If folded there is one payload for all.
  std::uint32_t offset_of(Number number) const { return static_cast<std::uint32_t>(number - results->range.first); }
};

// Hears what becomes of one job's tasks. Called on the reactor's thread; must neither block nor throw.
class JobListener {
public:
  JobListener() = default;
  virtual ~JobListener() = default;
  JobListener(const JobListener&) = delete;
  JobListener& operator=(const JobListener&) = delete;

  virtual void on_results(const Arrival& arrival) = 0;
  virtual void on_outcome(const Submission::DeliverOutcome& outcome) = 0;
  virtual void on_kept(const Submission::Kept&) {}     // Of a kept job.
  virtual void on_whole(std::uint64_t) {}              // Of a fetched job: all of its so many results have come.
  virtual void on_cancelled() {}                       // By somebody else: on_over() follows.
  virtual void on_over(const std::string& error) = 0;  // The last call.
};

// Everything on its reactor's thread, or before that runs.
class Client {
public:
  Client(Context& context, Reactor& reactor, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Binds and connects; Code::unavailable if that cannot be done. Whether a broker is there is another question.
  Status start();
  // To be called at the end of each of the reactor's turns.
  void on_turn_end();
  // The broker does not want this client: every job has ended with an error, and nothing will come of another.
  void on_left(std::function<void(const std::string& why)> callback) { on_left_ = std::move(callback); }

  JobId open(Submit specification, std::shared_ptr<JobListener> listener);
  void submit(JobId job, PayloadWriter&& payloads);
  void submit_index(JobId job, std::uint64_t count);
  void complete(JobId job);
  void settle(JobId job, Range range, Outcome outcome, const std::string& message);
  // The results of a kept job. Call taken() for what is not held any more, and confirm() when after on_whole() all of
  // it is safe: then the broker removes the job.
  JobId fetch(Fetch fetch, std::shared_ptr<JobListener> listener);
  void taken(JobId job, std::uint64_t bytes);
  void confirm(JobId job);
  // A kept job that is the broker's alone from now on. Its listener hears nothing more.
  void detach(JobId job);
  // The broker's id of a job.
  JobId known_as(JobId job) const { return submission_->known_as(job); }
  // INQUIRE, EXPLAIN, DISCARD or DRAIN.
  void ask(Message question, std::function<void(const Message& answer)> on_answer);

  // Says goodbye; `done` is called when that has left, or soon.
  void leave(std::function<void()> done);

  bool connected() const { return submission_ && submission_->is_open(); }
  std::size_t job_count() const { return submission_ ? submission_->job_count() : 0; }
  std::uint64_t duplicates() const { return submission_ ? submission_->duplicates() : 0; }

private:
  struct Held;  // A frame of results for as long as it is needed.
  struct Job {
    std::shared_ptr<JobListener> listener;
    PayloadStore store;
  };

  Context& context_;
  Reactor& reactor_;
  ClientOptions options_;
  Log log_;
  IncarnationId incarnation_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<PullSocket> pull_;
  std::unique_ptr<Submission> submission_;
  std::unordered_map<JobId, Job> jobs_;
  std::unordered_map<FrameId, std::shared_ptr<const Held>> held_;
  std::unordered_map<IncarnationId, Assembler> parts_;  // By worker, on the results socket.
  std::deque<std::function<void(const Message&)>> questions_;
  std::function<void(const std::string&)> on_left_;
  std::function<void()> on_gone_;
  std::uint64_t frames_ = 0;
  TimerId tick_;
  TimePoint waiting_since_;
  bool said_waiting_ = false;
  bool borrows_ = false;  // Messages may have been lent.
  bool leaving_ = false;
  std::string left_;  // Why the broker does not want this client; empty: it does.
  RateLimit refusals_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);

  // `say` is what becomes of its id.
  JobId begin(std::shared_ptr<JobListener> listener, const std::function<void(JobId)>& say);
  Reading receive();
  void on_unreadable(const Error& error);
  void take(Bytes bytes, const std::shared_ptr<const void>& memory);
  void take_results(const Received& received, const std::shared_ptr<const void>& memory);
  void on_message(const Received& received, const std::shared_ptr<const void>& memory);
  void refuse(const std::string& why);
  void tick();
  void schedule();
  void gone();
  void carry_out();
  void act(Submission::Say& say);
  void act(Submission::SendOffer& offer);
  std::uint64_t send_some(const Submission::SendOffer& offer, Range wanted, PayloadStore& store);
  void act(Submission::Deliver& deliver);
  void act(Submission::DeliverOutcome& outcome);
  void act(Submission::Release& release) { held_.erase(release.frame); }
  void act(Submission::DropPayloads& drop);
  void act(Submission::Kept& kept);
  void act(Submission::Whole& whole);
  void act(Submission::Over& over);
  void act(Submission::Answer& answer);
  void act(Submission::Leave& leave);
  void act(Notice& notice) { log_.write(notice.level, notice.text); }
};

}  // namespace ventile
