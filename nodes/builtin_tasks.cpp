#include <nodes/builtin_tasks.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

#include <ventile/task/context.hpp>

namespace ventile {
namespace {

Packed echo(const PackedArguments& arguments) {
  Unpacker only{arguments.payload};
  Bytes single;
  if (arguments.constants.empty() && only.read_value(single) && only.at_end()) return Packed::view(single);
  const std::vector<Bytes> values = arguments.values();
  if (values.size() == 1) return Packed::view(values.front());
  Buffer all;
  Packer packer{all};
  packer.pack_array(static_cast<std::uint32_t>(values.size()));
  for (const Bytes value : values) packer.append_packed(value);
  return Packed{std::move(all)};
}

Duration duration_of(double seconds) {
  constexpr double most = 1e9;  // 31 years.
  if (!(seconds >= 0)) throw TaskFailure("arguments", "argument 1: a duration cannot be " + std::to_string(seconds));
  return from_seconds(std::min(seconds, most));
}

void sleep(const TaskContext& context, double seconds) {
  const TimePoint awake = Clock::now() + duration_of(seconds);
  std::mutex mutex;
  std::condition_variable_any nobody;
  std::unique_lock lock{mutex};
  nobody.wait_until(lock, context.stop_token(), std::min(awake, context.deadline()), [] { return false; });
  if (context.stop_requested()) throw TaskFailure("cancelled", "told to stop while it slept");
  if (context.deadline() < awake) throw TaskFailure("timeout", "still asleep at its time-out");
}

// Works for so long: what others had of the processor meanwhile does not count. Nothing of ours takes so long between
// two looks at the clock, and to ask for the thread's own time would take longer than the shortest of these tasks.
void spin(double microseconds) {
  constexpr Duration taken_away = std::chrono::microseconds{10};
  TimePoint last = Clock::now();
  TimePoint end = last + duration_of(microseconds / 1e6);
  while (last < end) {
    const TimePoint now = Clock::now();
    if (now - last > taken_away) end += now - last;
    last = now;
  }
}

// OpenSSL finds an algorithm by name, which takes longer than hashing a small string: once is enough.
class Sha256 {
public:
  Sha256() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free) {
    if (!algorithm_) throw std::runtime_error("OpenSSL has no SHA-256");
  }

  std::string operator()(std::string_view text) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, algorithm_.get(), nullptr) != 1)
      throw std::runtime_error("OpenSSL could not compute SHA-256");
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
      hex += digits[digest[i] >> 4];
      hex += digits[digest[i] & 15];
    }
    return hex;
  }

private:
  std::shared_ptr<EVP_MD> algorithm_;
};

void fail(const PackedArguments& arguments) {
  const std::vector<Bytes> values = arguments.values();
  const Result<std::string> text = values.empty() ? Error{} : unpack_from<std::string>(values.front());
  throw TaskFailure("fail", text ? *text : "was told to fail");
}

}  // namespace

void add_builtin_tasks(TaskRegistry& tasks) {
  constexpr TaskTraits first_values{.ignores_extra_arguments = true};
  tasks.add("echo", echo);
  tasks.add(
      "index", [](std::int64_t index) { return index; }, first_values);
  tasks.add("sleep", sleep, {.ignores_extra_arguments = true, .enforces_timeout = true});
  tasks.add("spin", spin, first_values);
  tasks.add("sha256", Sha256{}, first_values);
  tasks.add("fail", fail);
  tasks.add("crash", [](const PackedArguments&) { std::abort(); });

  tasks.add_fold<Scalar>("sum", std::plus<>{});
  tasks.add_fold<Scalar>("min", [](Scalar a, Scalar b) { return b < a ? b : a; });
  tasks.add_fold<Scalar>("max", [](Scalar a, Scalar b) { return a < b ? b : a; });
  tasks.add_fold<std::uint64_t>("count", std::plus<>{}, [](Bytes) { return std::uint64_t{1}; });
}

}  // namespace ventile
