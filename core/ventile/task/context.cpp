#include <ventile/task/context.hpp>

#include <ventile/task/run.hpp>

namespace ventile {

JobId TaskContext::job() const { return run_->job().id; }
Number TaskContext::number() const { return run_->number(); }
std::uint32_t TaskContext::attempt() const { return run_->attempt(); }
std::uint32_t TaskContext::slot() const { return run_->slot(); }
bool TaskContext::stop_requested() const { return run_->stop_token().stop_requested(); }
std::stop_token TaskContext::stop_token() const { return run_->stop_token(); }
void TaskContext::progress(double fraction, std::string_view message) const { run_->say(fraction, message); }
TimePoint TaskContext::deadline() const { return run_->deadline(); }

}  // namespace ventile
