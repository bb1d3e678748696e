#include <nodes/run/early_halt.hpp>

#include <variant>

namespace ventile {

void EarlyHalt::on_ended(bool succeeded) {
  if (!rule_ || !std::holds_alternative<HaltRule::Tasks>(rule_->threshold)) return;
  const std::lock_guard lock{mutex_};
  ++(succeeded ? counts_.succeeded : counts_.failed);
  if (rule_->reached(counts_)) set_reached();
}

void EarlyHalt::set_reached() {
  reached_ = true;
  gate_->close();
}

}  // namespace ventile
