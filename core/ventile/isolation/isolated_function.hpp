// A function that runs in children: the slot's side of it. Private to this folder.
#pragma once

#include <memory>
#include <string>

#include <ventile/isolation/slot_process.hpp>
#include <ventile/task/function.hpp>

namespace ventile::isolation {

class IsolatedFunction final : public TaskFunction {
public:
  IsolatedFunction(std::string name, const TaskTraits& traits, std::shared_ptr<SlotProcesses> processes);

  void run(TaskRun& run) const override;

private:
  std::string name_;
  std::shared_ptr<SlotProcesses> processes_;  // Also for a thread that a Runner has left behind.
};

}  // namespace ventile::isolation
