// For a task that must wait for other tasks: its slot is lent to them meanwhile.
#pragma once

namespace ventile {

// Around a wait on a slot's thread: what came before in the batch is reported, what has not begun goes to other slots,
// and a spare thread runs in place of this one, so that a task can wait for tasks which it has submitted, however deep.
// On any other thread it does nothing. When all spares wait (RunnerOptions::spares_max), a waiting task holds its slot.
class BlockingScope {
public:
  BlockingScope();
  ~BlockingScope();
  BlockingScope(const BlockingScope&) = delete;
  BlockingScope& operator=(const BlockingScope&) = delete;

  // True on the thread of a slot.
  static bool in_task();

private:
  bool waits_;
};

}  // namespace ventile
