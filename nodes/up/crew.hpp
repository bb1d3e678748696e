// The workers of `ventile up`: processes of this program that are started again when they die.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nodes/child_process.hpp>
#include <nodes/exit_code.hpp>
#include <nodes/up/back_off.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/base/log.hpp>
#include <ventile/net/reactor.hpp>

namespace ventile {

struct CrewOptions {
  std::vector<std::string> words;  // Of a worker's command line, the program's name first.
  std::uint32_t workers = 1;
  Duration drain_timeout = std::chrono::seconds{30};
  Log log;
  // Whether a worker was ever able to serve. If none was, one that ends with ExitCode::usage ends everything: the next
  // one would fail alike.
  std::function<bool()> has_served;
  // No worker runs and none will be started: success after a drain, drain_deadline if one had to hand back what it ran
  // or to be killed, usage if they cannot work at all. Called once.
  std::function<void(ExitCode)> on_over;
};

// The life of one of them:
//
//               dies                       leaves: exit code 0, or the crew drains
//   [running] --------> [pause] ... and  -----------------------------------------> [gone]
//        ^------------------'
//
// A worker that leaves on request (`ventile drain`) is not replaced. Everything on its reactor's thread, which must be
// the main one, or before that runs.
class Crew {
public:
  Crew(Reactor& reactor, CrewOptions options);
  ~Crew();  // Kills who is left.
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Code::unavailable if the system gives no process.
  Status start();
  // They finish what runs and leave; who has not `kill_after` behind the time-out is killed.
  void drain();
  // They hand back what runs; who is there `kill_after` later, or at a second call, is killed.
  void cancel();

  static constexpr Duration kill_after = std::chrono::seconds{5};

private:
  struct Member {
    std::optional<ChildProcess> process;
    TimePoint since;  // It was started.
    BackOff back_off;
    TimerId pause;  // Until it is started again; none: it runs, or is gone.
  };

  Reactor& reactor_;
  CrewOptions options_;
  std::vector<Member> members_;
  TimerId deadline_;
  bool draining_ = false;
  bool cancelled_ = false;
  bool over_ = false;
  ExitCode code_ = ExitCode::success;

  Status start(std::size_t index);
  void on_ended(std::size_t index);
  void on_died(std::size_t index, const ChildEnding& ending);
  void pause(std::size_t index, const std::string& why);
  void stop_starting();
  void signal_all(int number);
  void kill_all();
  void kill_all_after(Duration delay);
  void maybe_over();
};

}  // namespace ventile
