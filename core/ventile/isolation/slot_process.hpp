// A slot's end of a child, and the children that slots take. Private to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <ventile/isolation/isolate.hpp>
#include <ventile/isolation/messages.hpp>
#include <ventile/isolation/server.hpp>
#include <ventile/task/batch.hpp>

namespace ventile::isolation {

// One child, from its fork to its death. For one thread at a time, but stop().
class SlotProcess {
public:
  // Asks the server for one.
  static Result<std::unique_ptr<SlotProcess>> start(int server);
  ~SlotProcess();
  SlotProcess(const SlotProcess&) = delete;
  SlotProcess& operator=(const SlotProcess&) = delete;

  // Tasks [begin, end) of the batch, to be run by the function of that name. An error means that it is dead.
  Status send(const std::string& function, const Batch& batch, std::uint32_t begin, std::uint32_t end,
              std::uint32_t slot);
  std::uint64_t groups() const { return group_; }  // So many were sent.

  // Waits for what happens next, or until `until`.
  enum class Happened : std::uint8_t { results, group_end, died, time };
  Happened wait(Incoming& message, TimePoint until);

  // Sends what is finished now, and what the running task says of itself. Costs two wakings.
  void look() { order(Order::What::look); }
  void abandon() { order(Order::What::abandon); }
  void stop() { order(Order::What::stop); }  // From any thread.
  // What was said since the last call.
  bool said(Said& said);

  // Which task of the group was begun last, and when. None if none was.
  bool has_begun() const { return begun_->has_begun(group_); }
  std::uint32_t running() const { return begun_->running(); }
  TimePoint running_since() const { return begun_->running_since(); }

  void kill() { end_.close(); }
  // After its death: in words, with the last line of its stderr. Waits for the server to reap it.
  std::string how_it_ended();

private:
  Descriptor stream_;
  Descriptor orders_;
  Descriptor end_;
  Descriptor error_;
  Begun* begun_;
  MessageReader reader_;
  JobId job_;
  std::uint64_t group_ = 0;
  std::string error_tail_;

  SlotProcess(Descriptor stream, Descriptor orders, Descriptor end, Descriptor error, Begun* begun);
  void order(Order::What what);
  void pass_on_stderr();
  int wait_status();
};

// The server and its children. Thread-safe.
class SlotProcesses {
public:
  // Makes the first children.
  SlotProcesses(Server server, IsolationOptions options);
  // Waits until the server has killed what is left and ended.
  ~SlotProcesses();
  SlotProcesses(const SlotProcesses&) = delete;
  SlotProcesses& operator=(const SlotProcesses&) = delete;

  // An idle child, or a new one; `fresh`: one in which nothing ran. Null if the server is gone, after on_gone.
  std::unique_ptr<SlotProcess> take(bool fresh);
  void give_back(std::unique_ptr<SlotProcess> process);

  const IsolationOptions& options() const { return options_; }

private:
  Server server_;
  IsolationOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<SlotProcess>> idle_;
};

}  // namespace ventile::isolation
