#include <nodes/run/lent_slots.hpp>

#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include <nodes/run/command_plan.hpp>
#include <ventile/task/context.hpp>

namespace ventile {
namespace {

// Runs that a worker remembers; the one that began first is forgotten first.
constexpr std::size_t runs_max = 16;

Status make_directory(const std::string& path) {
  if (path.empty()) return {};
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Error{Code::unavailable, "cannot make the folder " + path + ": " + error.message()};
  return {};
}

class LentRun {
public:
  LentRun(std::shared_ptr<const Zygote> zygote, std::uint32_t slots, std::string host)
      : state_(std::make_shared<State>()), zygote_(std::move(zygote)), slots_(slots), host_(std::move(host)) {}

  RunReport operator()(TaskContext context, const PackedArguments& packed) const {
    return (*of(context.job(), packed.constants))(context, packed.payload);
  }

private:
  struct State {
    std::mutex mutex;
    std::map<JobId, std::shared_ptr<const CommandTask>> runs;
    std::vector<JobId> order;
  };

  std::shared_ptr<State> state_;
  std::shared_ptr<const Zygote> zygote_;
  std::uint32_t slots_;
  std::string host_;

  std::shared_ptr<const CommandTask> of(JobId job, Bytes constants) const {
    const std::lock_guard lock{state_->mutex};
    if (const auto known = state_->runs.find(job); known != state_->runs.end()) return known->second;
    Result<std::shared_ptr<const CommandTask>> made = make(constants);
    if (!made) throw TaskFailure{"arguments", host_ + ": " + made.error().message};
    if (state_->order.size() == runs_max) {
      state_->runs.erase(state_->order.front());
      state_->order.erase(state_->order.begin());
    }
    state_->order.push_back(job);
    return state_->runs.emplace(job, std::move(*made)).first->second;
  }

  Result<std::shared_ptr<const CommandTask>> make(Bytes constants) const {
    const Result<CommandPlan> plan = unpack_plan(constants);
    if (!plan) return plan.error();
    Result<CommandTaskOptions> options = task_options(*plan);
    if (!options) return options.error();
    Result<std::vector<CommandTemplate>> bring_back = path_templates(plan->bring_back, plan->names);
    if (!bring_back) return bring_back.error();
    if (Status made = make_directory(plan->directory); !made) return made.error();
    options->host = host_;
    options->output_bytes_max = lent_output_bytes_max;
    auto gate = std::make_shared<SlotGate>(gate_options(*plan, slots_, false));
    CommandTaskServices services{zygote_,
                                 gate,
                                 std::make_shared<SpillFile>(temporary_folder()),
                                 std::make_shared<LiveOutput>(),
                                 std::make_shared<TimeLimit>(plan->timeout),
                                 std::make_shared<EarlyHalt>(std::nullopt, gate),
                                 plan->tries_max,
                                 std::make_shared<Guests>(plan->directory, std::move(*bring_back), plan->cleanup)};
    return std::make_shared<const CommandTask>(std::move(*options), std::move(services));
  }
};

}  // namespace

void add_lent_run(TaskRegistry& tasks, std::shared_ptr<const Zygote> zygote, std::uint32_t slots, std::string host) {
  tasks.add("run", LentRun{std::move(zygote), slots, std::move(host)}, {.repeatable = false, .enforces_timeout = true});
}

}  // namespace ventile
