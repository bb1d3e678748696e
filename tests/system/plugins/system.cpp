// Task functions that misbehave when a system test says so. Those with a folder take part in a Gate (gate.hpp).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <stdexcept>
#include <string>

#include <ventile/task/plugin.hpp>

namespace {

struct Obstinate {};

}  // namespace

template <>
struct ventile::Convert<Obstinate> {
  static void pack(Packer& packer, const Obstinate&) {
    packer.pack_array(2);  // And nothing in it.
    throw std::logic_error("this result cannot be packed");
  }
};

namespace {

bool take_mark(const std::string& folder, std::int64_t number) {
  return unlink((folder + "/marks/" + std::to_string(number)).c_str()) == 0;
}

void announce(const std::string& folder, std::int64_t number) {
  const std::string line = std::to_string(getpid()) + " " + std::to_string(number) + "\n";
  const int arrivals = open((folder + "/arrivals").c_str(), O_WRONLY | O_CLOEXEC);
  if (write(arrivals, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
  close(arrivals);
}

// Waits in the kernel until the test opens the other end.
void wait_at_gate(const std::string& folder, std::int64_t number) {
  close(open((folder + "/gates/" + std::to_string(number)).c_str(), O_RDONLY | O_CLOEXEC));
}

std::int64_t hold(const std::string& folder, std::int64_t number) {
  if (take_mark(folder, number)) {
    announce(folder, number);
    wait_at_gate(folder, number);
  }
  return number;
}

std::int64_t hold_half_way(ventile::TaskContext context, const std::string& folder, std::int64_t number) {
  context.progress(0.5, "half way");
  return hold(folder, number);
}

std::int64_t fail_once(const std::string& folder, std::int64_t number) {
  if (take_mark(folder, number)) throw std::runtime_error("failed on purpose");
  return number;
}

std::int64_t poison(std::int64_t poisonous, std::int64_t number) {
  if (number == poisonous) std::abort();
  return number;
}

std::int64_t refuse_odd(std::int64_t number) {
  if (number % 2 != 0) throw std::invalid_argument("the number is odd");
  return number;
}

// Takes a millisecond, so that a worker that is killed or stopped has most likely something in hand.
std::uint64_t square_slowly(const std::string& line) {
  const std::uint64_t number = std::stoull(line);
  const timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
  nanosleep(&millisecond, nullptr);
  return number * number;
}

ventile::Packed not_a_value(std::int64_t) {
  ventile::Buffer bytes;
  const std::byte never_used{0xc1};
  bytes.append(ventile::Bytes{&never_used, 1});
  return ventile::Packed{std::move(bytes)};
}

Obstinate unpackable(std::int64_t) { return {}; }

}  // namespace

VENTILE_PLUGIN(registry) {
  registry.add_fold<std::int64_t>("largest", [](std::int64_t a, std::int64_t b) { return std::max(a, b); });
  registry.add("hold", hold);
  registry.add("hold_half_way", hold_half_way);
  registry.add("fail_once", fail_once);
  registry.add("square_slowly", square_slowly);
  registry.add("poison", poison);
  registry.add("refuse_odd", refuse_odd);
  registry.add("not_a_value", not_a_value);
  registry.add("unpackable", unpackable);
}
