// Bytes as they come from a socket.
#include <tests/fuzz/fuzz.hpp>

using namespace ventile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes frame = fuzz::bytes_of(data, size);
  const fuzz::AllocationBound bound{size};
  (void)peek_version(frame);
  (void)results_job(frame);
  (void)decode(frame);
  return 0;
}
