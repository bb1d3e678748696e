#include <nodes/up/crew.hpp>

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include <nodes/quantity.hpp>

namespace ventile {

Crew::Crew(Reactor& reactor, CrewOptions options)
    : reactor_(reactor), options_(std::move(options)), members_(options_.workers) {}

Crew::~Crew() {
  stop_starting();
  reactor_.cancel(deadline_);
  for (const Member& member : members_)
    if (member.process) reactor_.unwatch(member.process->descriptor());
  signal_all(SIGKILL);  // All at once, before each is waited for.
}

Status Crew::start() {
  for (std::size_t index = 0; index < members_.size(); ++index)
    if (Status started = start(index); !started) return started;
  return {};
}

Status Crew::start(std::size_t index) {
  Member& member = members_[index];
  Result<ChildProcess> process = ChildProcess::start({.words = options_.words});
  if (!process) return process.error();
  member.process = std::move(*process);
  member.since = reactor_.now();
  reactor_.watch(member.process->descriptor(), POLLIN, [this, index](short) { on_ended(index); });
  return {};
}

void Crew::on_ended(std::size_t index) {
  Member& member = members_[index];
  const std::optional<ChildEnding> ending = member.process->ending();
  if (!ending) return;
  reactor_.unwatch(member.process->descriptor());
  on_died(index, *ending);
  member.process.reset();
  maybe_over();
}

void Crew::on_died(std::size_t index, const ChildEnding& ending) {
  const std::string who =
      "worker " + std::to_string(index + 1) + " (process " + std::to_string(members_[index].process->pid()) + ")";
  if (draining_) {
    if (ending.code == to_int(ExitCode::drain_deadline)) code_ = ExitCode::drain_deadline;
    return;
  }
  if (ending == ChildEnding{}) {
    options_.log.info(who + " has left; it is not started again");
  } else if (ending.code == to_int(ExitCode::usage) && !options_.has_served()) {
    options_.log.error(who + " cannot work and ended with " + to_text(ending) + "; another would not fare better");
    code_ = ExitCode::usage;
    stop_starting();
    kill_all();
  } else {
    pause(index, who + " ended with " + to_text(ending));
  }
}

void Crew::pause(std::size_t index, const std::string& why) {
  Member& member = members_[index];
  const Duration delay = member.back_off.on_death(reactor_.now() - member.since);
  options_.log.warning(why + "; starting it again in " + to_text(delay));
  member.pause = reactor_.call_at(reactor_.now() + delay, [this, index] {
    members_[index].pause = {};
    if (const Status started = start(index); !started) {
      members_[index].since = reactor_.now();
      pause(index, started.error().message);
    }
  });
}

void Crew::stop_starting() {
  draining_ = true;
  for (Member& member : members_) reactor_.cancel(std::exchange(member.pause, {}));
}

void Crew::drain() {
  stop_starting();
  signal_all(SIGTERM);
  kill_all_after(options_.drain_timeout + kill_after);
  maybe_over();
}

void Crew::cancel() {
  stop_starting();
  if (std::exchange(cancelled_, true)) return kill_all();
  signal_all(SIGTERM);
  kill_all_after(kill_after);
  maybe_over();
}

void Crew::signal_all(int number) {
  for (const Member& member : members_)
    if (member.process) member.process->signal(number);
}

void Crew::kill_all_after(Duration delay) {
  reactor_.cancel(deadline_);
  deadline_ = reactor_.call_at(reactor_.now() + delay, [this] { kill_all(); });
}

void Crew::kill_all() {
  if (code_ == ExitCode::success) code_ = ExitCode::drain_deadline;
  signal_all(SIGKILL);
}

void Crew::maybe_over() {
  const bool gone =
      std::none_of(members_.begin(), members_.end(), [](const Member& m) { return m.process.has_value(); });
  if (!draining_ || !gone || std::exchange(over_, true)) return;
  reactor_.cancel(deadline_);
  options_.on_over(code_);
}

}  // namespace ventile
