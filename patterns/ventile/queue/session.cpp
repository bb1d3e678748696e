#include <ventile/queue/session.hpp>

#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>

namespace ventile {

Session::Session(SessionOptions options)
    : options_(std::move(options)),
      hello_pause_(options_.hello_interval),
      slots_(options_.slots),
      outbox_(options_.outbox) {}

Session::Actions Session::take_actions() { return std::exchange(actions_, {}); }

void Session::say(Message message, JobId job) { actions_.push_back(Say{job, session_, std::move(message)}); }

// --- Opening and losing a session --------------------------------------------------------------------------------

void Session::start(TimePoint now) { hello(now); }

// In the name of the last session that was entered, so that the dispatcher knows whether that is the one it made.
void Session::hello(TimePoint now) {
  session_ = entered_;
  state_ = State::greeting;
  ++greetings_;
  next_hello_ = now + hello_pause_;
  hello_pause_ = std::min(2 * hello_pause_, options_.hello_interval_max);
  received_tasks_ = received_bytes_ = 0;
  granted_ = {};
  update_credit(now);
  said_ = granted_;
  said_milestones_.clear();
  say(Hello{Role::worker,
            options_.node,
            options_.name,
            options_.build,
            slots_,
            options_.functions,
            {},
            granted_,
            held(),
            greetings_,
            options_.machine});
  session_ = {};
}

std::vector<HeldRange> Session::held() const {
  std::vector<HeldRange> held = outbox_.held();
  for (const auto& [id, lease] : leases_)
    if (!lease.unwanted)
      for (const Range range : lease.running.ranges()) held.push_back({lease.job, id, range, false, {}});
  for (HeldRange& one : held) one.seal = seal_of(one.lease, one.range);
  return held;
}

void Session::stop_orphans() {
  if (!options_.stop_when_alone) return;
  std::set<JobId> jobs;
  for (auto& [id, lease] : leases_)
    if (!std::exchange(lease.unwanted, true)) jobs.insert(lease.job);
  for (const JobId job : jobs) {
    actions_.push_back(Notice{Level::warning, "stopped what ran of a job: its dispatcher is gone"});
    actions_.push_back(CancelJob{job});
    drop(outbox_.forget(job));
  }
  std::vector<LeaseId> ids;
  for (const auto& [id, lease] : leases_) ids.push_back(id);
  for (const LeaseId id : ids) forget_if_done(id);
}

void Session::on_disconnected(TimePoint now) {
  if (options_.stop_when_alone && state_ != State::gone) liveness_.leave_only(options_.alone_grace, now);
}

void Session::forget_session(TimePoint now, const std::string& why) {
  if (!why.empty()) actions_.push_back(Notice{Level::warning, why});
  hello(now);
}

void Session::on_unreadable(const Error& error, TimePoint now) {
  if (state_ == State::gone || !std::exchange(options_.machine, {})) return;
  forget_session(now, error.message + " Nothing is lent to this worker from now on.");
}

void Session::on_malformed(const Error& error, std::optional<std::uint16_t> version, TimePoint) {
  if (version && *version != protocol_version)
    return leave(Ending::version_mismatch, "the dispatcher speaks protocol version " + std::to_string(*version) +
                                               ", this worker version " + std::to_string(protocol_version) +
                                               "; run the same release on both sides");
  actions_.push_back(Notice{Level::warning, "refused a message of the dispatcher: " + error.message});
}

void Session::on_message(const Received& received, TimePoint now) {
  if (state_ == State::gone) return;
  const JobId job = received.envelope.job;
  if (const auto* welcome = std::get_if<Welcome>(&received.message)) {
    if (state_ != State::greeting || welcome->greeting != greetings_) return;
    session_ = entered_ = received.envelope.session;
    hello_pause_ = options_.hello_interval;
    state_ = leaving_ ? State::draining : State::open;
    liveness_.begin(welcome->heartbeat_milliseconds, welcome->dead_after_milliseconds, now);
    jobs_.clear();
    refused_.clear();
    routed_.clear();
    if (leaving_) say(Bye{ByeReason::leaving, {}});
    if (waiting_ > 0) say(Waiting{waiting_});
    leave_if_idle();
    return;
  }
  if (std::holds_alternative<HelloAgain>(received.message)) {
    if (state_ != State::greeting) forget_session(now, {});
    return;
  }
  if (const auto* refused = std::get_if<Refused>(&received.message)) {
    if (refused->reason == Refusal::version)
      return leave(Ending::version_mismatch, "the dispatcher refused this worker: " + refused->message);
    if (refused->reason != Refusal::malformed)
      return leave(Ending::refused, "the dispatcher refused this worker: " + refused->message);
    actions_.push_back(Notice{Level::warning, "the dispatcher refused a message: " + refused->message});
    return;
  }
  if (!open() || received.envelope.session != session_) return;  // Of a session that is over.
  liveness_.on_heard(now);
  if (const auto* pace = std::get_if<Pace>(&received.message)) {
    liveness_.keep_pace(pace->heartbeat_milliseconds, pace->dead_after_milliseconds, now);
  } else if (std::holds_alternative<Heartbeat>(received.message)) {
    liveness_.answer(now);
  } else if (const auto* tasks = std::get_if<Tasks>(&received.message)) {
    on_tasks(job, *tasks);
  } else if (const auto* verdicts = std::get_if<Verdicts>(&received.message)) {
    for (const VerdictNote& note : verdicts->verdicts) {
      drop(outbox_.on_verdict(job, note.lease, note.range, now));
      forget_if_done(note.lease);
    }
    update_credit(now);
  } else if (const auto* opened = std::get_if<Open>(&received.message)) {
    jobs_[job] = *opened;
    actions_.push_back(PrepareJob{job, *opened});
  } else if (const auto* route = std::get_if<Route>(&received.message)) {
    on_route(job, *route);
  } else if (const auto* retract = std::get_if<Retract>(&received.message)) {
    actions_.push_back(TakeBack{job, retract->lease, retract->count});
  } else if (const auto* cancel = std::get_if<Cancel>(&received.message)) {
    on_cancel(job, *cancel);
    update_credit(now);
  } else if (std::holds_alternative<Close>(received.message)) {
    on_close(job, now);
  } else if (std::holds_alternative<Drain>(received.message)) {
    actions_.push_back(Notice{Level::info, "the dispatcher asks this worker to finish what runs and to leave"});
    drain(now);
  } else if (const auto* bye = std::get_if<Bye>(&received.message)) {
    if (options_.once && worked_) {
      leaving_ = true;
      leave(Ending::done, "the dispatcher has left");
    } else {
      actions_.push_back(
          Notice{bye->reason == ByeReason::failed ? Level::warning : Level::info,
                 "the dispatcher has left" + (bye->message.empty() ? std::string{} : ": " + bye->message)});
      stop_orphans();
      hello(now);
    }
  }
  leave_if_idle();
}

// --- Jobs --------------------------------------------------------------------------------------------------------

void Session::on_route(JobId job, const Route& route) {
  const IncarnationId before = std::exchange(routes_[job], route.sink);
  actions_.push_back(ConnectSink{route.sink, route.address, route.machine});
  outbox_.on_route(job, route.sink);
  const bool again = !routed_.insert(job).second;
  const auto [machine, fresh] = machines_.try_emplace(route.sink, route.machine);
  // The sink cannot read what was lent to it. It may have said so while this session began.
  const bool unread = !fresh && std::exchange(machine->second, route.machine) != route.machine;
  if ((again || unread) && !planted("a route that is said again is ignored")) outbox_.send_again(job);
  const bool used =
      std::any_of(routes_.begin(), routes_.end(), [&](const auto& entry) { return entry.second == before; });
  if (before && !used) disconnect(before);
}

void Session::disconnect(IncarnationId sink) {
  machines_.erase(sink);
  actions_.push_back(DisconnectSink{sink});
}

void Session::on_job_refused(JobId job, const std::string& why, TimePoint) { refused_[job] = why; }

void Session::on_close(JobId job, TimePoint now) {
  jobs_.erase(job);
  refused_.erase(job);
  actions_.push_back(CancelJob{job});
  actions_.push_back(ForgetJob{job});
  drop(outbox_.forget(job));
  std::vector<LeaseId> unwanted;
  for (auto& [id, lease] : leases_) {
    if (lease.job != job) continue;
    lease.unwanted = true;
    unwanted.push_back(id);
  }
  for (const LeaseId id : unwanted) forget_if_done(id);
  cancelled_.erase(job);
  if (const auto route = routes_.find(job); route != routes_.end()) {
    const IncarnationId sink = route->second;
    routes_.erase(route);
    if (std::none_of(routes_.begin(), routes_.end(), [&](const auto& entry) { return entry.second == sink; }))
      disconnect(sink);
  }
  update_credit(now);
  if (options_.once && worked_) drain(now);
}

// --- Tasks -------------------------------------------------------------------------------------------------------

void Session::on_tasks(JobId job, const Tasks& tasks) {
  const std::uint64_t bytes = tasks.payloads.count() == 0 ? 0 : tasks.payloads.end_of(tasks.payloads.count() - 1);
  if (!planted("credit is not given again")) received_tasks_ += tasks.range.count;
  received_bytes_ += bytes;
  const auto refused = refused_.find(job);
  if (refused != refused_.end() || !jobs_.contains(job)) {
    say(Return{tasks.lease,
               {tasks.range},
               ReturnReason::unknown,
               {},
               refused == refused_.end() ? "it does not know the job" : refused->second},
        job);
    return;
  }
  if (leaving_) {
    say(Return{tasks.lease, {tasks.range}, ReturnReason::not_begun, {}, {}}, job);
    return;
  }
  worked_ = true;
  Held& lease = leases_[tasks.lease];
  lease.job = job;
  running_tasks_ += lease.running.insert(tasks.range);
  running_bytes_ += bytes;
  lease.bytes += bytes;
  lease.total += tasks.range.count;
  if (tasks.seal.code && (lease.seals.empty() || lease.seals.back() != tasks.seal)) lease.seals.push_back(tasks.seal);
  actions_.push_back(Start{job, tasks.lease, tasks.range, tasks.tries});
}

Seal Session::seal_of(LeaseId lease, Range range) const {
  const auto held = leases_.find(lease);
  if (held == leases_.end()) return {};
  const std::vector<Seal>& seals = held->second.seals;
  const auto found =
      std::find_if(seals.begin(), seals.end(), [&](const Seal& one) { return one.range.contains(range); });
  return found == seals.end() ? Seal{} : *found;
}

void Session::take_from_lease(LeaseId id, Range range) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return;
  Held& lease = it->second;
  const std::uint64_t before = lease.running.count();
  const std::uint64_t removed = lease.running.erase(range);
  if (removed == 0) return;
  const auto bytes = static_cast<std::uint64_t>(static_cast<long double>(lease.bytes) * removed / before);
  lease.bytes -= bytes;
  running_bytes_ -= bytes;
  running_tasks_ -= removed;
}

void Session::forget_if_done(LeaseId id) {
  if (auto it = leases_.find(id); it != leases_.end() && it->second.running.empty() && !outbox_.holds(id))
    leases_.erase(it);
}

void Session::give_back(JobId job, LeaseId lease, Range range, ReturnReason reason) {
  take_from_lease(lease, range);
  say(Return{lease, {range}, reason, {}, {}}, job);
  forget_if_done(lease);
}

ResultId Session::on_finished(JobId job, LeaseId lease, Range range, std::uint64_t bytes, std::size_t failures,
                              TimePoint now) {
  finished_ += range.count;
  ResultId result;
  const auto held = leases_.find(lease);
  if (failures > 0 && (abandoned_ || cancelled_.contains(job))) {
    give_back(job, lease, range, abandoned_ ? ReturnReason::stopped : ReturnReason::cancelled);
  } else if (failures > 0 && held != leases_.end() && held->second.cancelled.intersects(range) &&
             !planted("a task that was stopped has failed")) {
    const std::vector<Range> ours = held->second.cancelled.missing(range);
    take_from_lease(lease, range);
    if (!ours.empty()) say(Return{lease, ours, ReturnReason::not_begun, {}, {}}, job);
  } else if (held == leases_.end() || held->second.unwanted) {
    take_from_lease(lease, range);
  } else {
    held->second.begun = true;
    held->second.finished += range.count;
    take_from_lease(lease, range);
    result = outbox_.add(job, lease, range, bytes, now);
  }
  forget_if_done(lease);
  update_credit(now);
  leave_if_idle();
  return result;
}

void Session::on_failed_try(JobId job, LeaseId lease, Number number, std::string kind, std::string message,
                            TimePoint now) {
  ++finished_;
  if (abandoned_ || cancelled_.contains(job)) {
    give_back(job, lease, {number, 1}, abandoned_ ? ReturnReason::stopped : ReturnReason::cancelled);
  } else {
    take_from_lease(lease, {number, 1});
    say(Return{lease, {{number, 1}}, ReturnReason::failed, std::move(kind), std::move(message)}, job);
    forget_if_done(lease);
  }
  update_credit(now);
  leave_if_idle();
}

void Session::on_retracted(JobId job, LeaseId lease, const std::vector<Range>& ranges, TimePoint now) {
  for (const Range range : ranges) take_from_lease(lease, range);
  if (planted("a hand-back forgets its last range") && !ranges.empty())
    return say(Return{lease, {ranges.begin(), ranges.end() - 1}, ReturnReason::not_begun, {}, {}}, job);
  say(Return{lease, ranges, cancelled_.contains(job) ? ReturnReason::cancelled : ReturnReason::not_begun, {}, {}}, job);
  forget_if_done(lease);
  update_credit(now);
  leave_if_idle();
}

void Session::on_cancelled(JobId job, LeaseId lease, Range range, TimePoint now) {
  if (abandoned_ || cancelled_.contains(job))
    give_back(job, lease, range, abandoned_ ? ReturnReason::not_begun : ReturnReason::cancelled);
  else
    take_from_lease(lease, range);  // A lease that is not ours any more: nobody waits for an answer.
  forget_if_done(lease);
  update_credit(now);
  leave_if_idle();
}

// With a lease: these numbers are settled, or somebody else's. A dispatcher that does not know the job at all wants
// none of its results either.
void Session::on_cancel(JobId job, const Cancel& cancel) {
  if (!cancel.lease) {
    cancelled_.insert(job);
    actions_.push_back(CancelJob{job});
    return;
  }
  if (auto it = leases_.find(cancel.lease); it != leases_.end()) it->second.cancelled.insert(cancel.range);
  actions_.push_back(CancelLease{cancel.lease, cancel.range});
  if (!jobs_.contains(job)) {
    drop(outbox_.forget(job, cancel.lease, cancel.range));
    if (auto it = leases_.find(cancel.lease); it != leases_.end()) it->second.unwanted = true;
  }
  forget_if_done(cancel.lease);
}

void Session::drop(const std::vector<ResultId>& results) {
  for (const ResultId result : results) actions_.push_back(DropResult{result});
}

// --- Credit and progress -----------------------------------------------------------------------------------------

// Absolute: what has come in this session plus what there is room for. It never falls; while too many results are
// kept, it does not rise either.
void Session::update_credit(TimePoint now) {
  if (outbox_.bytes() > options_.kept_bytes_max) return;
  const auto room = [](std::uint64_t window, std::uint64_t held) { return window > held ? window - held : 0; };
  granted_.tasks = std::max(granted_.tasks, received_tasks_ + room(options_.credit_tasks, held_tasks()));
  granted_.bytes = std::max(granted_.bytes, received_bytes_ + room(options_.credit_bytes, running_bytes_));
  const bool much = granted_.tasks - said_.tasks > options_.credit_tasks / 4 ||
                    granted_.bytes - said_.bytes > options_.credit_bytes / 4;
  if (open() && much) say_progress(now);  // Not in place of a heartbeat, with which more is said.
}

// What was running when somebody last looked, and has not ended since, runs.
void Session::say_progress(TimePoint now) {
  Progress progress{granted_, slots_, finished_, {}};
  for (const auto& [id, lease] : leases_) {
    if (!lease.begun) continue;
    Duration longest{0};
    for (const RunningTask& task : running_)
      if (task.lease == id && lease.running.contains(task.number))
        longest = std::max({longest, task.running + (now - looked_), Duration{1}});
    progress.running.push_back({lease.job, id, lease.finished, static_cast<std::uint64_t>(longest.count())});
  }
  said_ = granted_;
  say(std::move(progress));
}

void Session::say_milestones() {
  std::vector<Milestone> milestones;
  for (const RunningTask& task : running_)
    if (task.milestone && leases_.contains(task.lease)) milestones.push_back(*task.milestone);
  if (milestones == said_milestones_) return;
  said_milestones_ = milestones;
  say(Milestones{std::move(milestones)});
}

void Session::on_tick(TimePoint now, const std::vector<RunningTask>& running) {
  if (state_ == State::gone) return;
  running_ = running;
  looked_ = now;
  for (const RunningTask& task : running_)
    if (auto it = leases_.find(task.lease); it != leases_.end()) it->second.begun = true;
  if (state_ == State::greeting) {
    if (!leases_.empty() && liveness_.is_dead(now)) stop_orphans();
    if (now >= next_hello_) hello(now);
  } else if (liveness_.is_dead(now)) {
    stop_orphans();
    forget_session(now, "the dispatcher is silent; introducing this worker again until it answers");
  } else if (liveness_.word_is_due(now)) {
    liveness_.on_said(now);
    say_progress(now);
    say_milestones();
  }
  outbox_.on_tick(now);
  leave_if_idle();
}

TimePoint Session::next_tick() const {
  if (state_ == State::gone) return never;
  return state_ == State::greeting ? next_hello_ : liveness_.next_tick();
}

// --- Leaving -----------------------------------------------------------------------------------------------------

void Session::drain(TimePoint) {
  if (leaving_) return;
  leaving_ = true;
  if (state_ == State::open) {
    state_ = State::draining;
    say(Bye{ByeReason::leaving, {}});
  }
  actions_.push_back(TakeBackAll{});
  leave_if_idle();
}

void Session::abandon(TimePoint now) {
  drain(now);
  if (std::exchange(abandoned_, true)) return;
  for (const auto& [job, open] : jobs_) actions_.push_back(CancelJob{job});
}

void Session::on_waiting(std::uint64_t tasks) {
  waiting_ = tasks;
  if (state_ == State::open) say(Waiting{waiting_});
}

void Session::on_slots_left(std::uint32_t slots, const std::string& why, TimePoint now) {
  slots_ = slots;
  actions_.push_back(Notice{Level::error, why});
  if (slots == 0) {
    for (const auto& [id, lease] : leases_)
      for (const Range range : lease.running.ranges())
        say(Return{id, {range}, ReturnReason::not_begun, {}, {}}, lease.job);
    leave(Ending::hung, why);
  } else {
    liveness_.speak_by(now);
  }
}

void Session::leave_now(TimePoint) { leave(Ending::done, "the time to drain is over"); }

void Session::leave_if_idle() {
  if (leaving_ && state_ != State::gone && running_tasks_ == 0 && outbox_.empty()) leave(Ending::done, {});
}

void Session::leave(Ending ending, std::string why) {
  if (state_ == State::gone) return;
  if (open()) say(Bye{ending == Ending::done ? ByeReason::done : ByeReason::failed, why});
  state_ = State::gone;
  actions_.push_back(Leave{ending, std::move(why)});
}

}  // namespace ventile
