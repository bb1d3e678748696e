// The input of a ventilator in each of its formats, by way of a file.
#include <sys/mman.h>
#include <unistd.h>

#include <tests/fuzz/fuzz.hpp>

#include "nodes/io/input.hpp"

using namespace ventile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Feed feed{fuzz::bytes_of(data, size)};
  static constexpr InputFormat formats[] = {InputFormat::lines, InputFormat::nul, InputFormat::jsonl,
                                            InputFormat::msgpack};
  const InputFormat format = formats[feed.below(4)];
  const InputOptions options{.skip_bad = feed.below(2) == 1, .item_bytes_max = 1U << 16};
  const Bytes text = feed.rest();
  const int file = memfd_create("input", MFD_CLOEXEC);
  if (file < 0 || write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::abort();
  const Result<std::unique_ptr<Input>> input = open_input("/proc/self/fd/" + std::to_string(file), format, options);
  fuzz::hold(static_cast<bool>(input), "a file that is there can be opened");
  for (bool more = true; more;) {
    PayloadWriter payloads{0};
    const Result<bool> read = (*input)->read(payloads, 1 << 12, 16);
    more = read && *read;
  }
  close(file);
  return 0;
}
