// Ventilator, worker and sink as threads of one program: the sum of the squares of 0 … 999.
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <thread>

#include <ventile/queue/sink.hpp>
#include <ventile/queue/ventilator.hpp>
#include <ventile/queue/worker.hpp>
#include <ventile/wire/convert.hpp>

namespace {

class FoldOutput : public ventile::Output {
public:
  explicit FoldOutput(std::int64_t& total) : total_(total) {}

  ventile::Status write(const ventile::ResultItem&) override {
    return ventile::Error{ventile::Code::failed, "a task failed"};
  }
  ventile::Status write_fold(ventile::Bytes packed, std::uint64_t) override {
    const auto total = ventile::unpack_from<std::int64_t>(packed);
    if (!total) return total.error();
    total_ = *total;
    return {};
  }
  ventile::Status flush() override { return {}; }
  ventile::Status close() override { return {}; }

private:
  std::int64_t& total_;
};

}  // namespace

int main() {
  ventile::TaskRegistry tasks;
  tasks.add("square", [](std::int64_t value) { return value * value; });
  tasks.add_fold<std::int64_t>("sum", std::plus<>{});

  const ventile::Endpoint address{ventile::Transport::inproc, "squares"};
  ventile::Context context;
  ventile::VentilatorOptions options;
  options.bind = address;
  options.job.function = "square";
  options.job.index.enabled = true;
  options.index_count = 1000;
  ventile::Ventilator ventilator{context, options, nullptr, {}};
  if (!ventilator.bind()) return 1;

  std::int64_t total = 0;
  ventile::Worker worker{context, tasks, {.connect = address, .slots = 2, .once = true}};
  ventile::Sink sink{context, tasks, {.connect = address, .fold = "sum"}, [&](std::uint64_t) {
                       return ventile::Result<std::unique_ptr<ventile::Output>>{std::make_unique<FoldOutput>(total)};
                     }};
  const std::jthread working{[&] { (void)worker.run(); }};
  const std::jthread collecting{[&] { (void)sink.run(); }};
  const auto report = ventilator.run();
  std::cout << total << '\n';
  return report && report->ending == ventile::VentilatorEnding::done && total == 332833500 ? 0 : 1;
}
