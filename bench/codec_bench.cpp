// What does a task cost on its way into a frame and out of it?
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include <ventile/base/crc32c.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {
namespace {

constexpr Envelope envelope{{1, 2}, {3}, {4}, 5};
constexpr LeaseId lease{{3}, 7};
constexpr std::string_view text = "thirty-one bytes, packed in 32:";

// `count` payloads of 32 bytes.
PayloadWriter texts(std::uint32_t count, std::size_t headroom) {
  PayloadWriter writer{headroom};
  for (std::uint32_t i = 0; i < count; ++i) {
    Packer{writer.buffer()}.pack_string(text);
    writer.end_payload();
  }
  return writer;
}

Message tasks_of(std::uint32_t count) { return Tasks{lease, {0, count}, 0, {}}; }
Message results_of(std::uint32_t count) { return Results{lease, {0, count}, false, 1, 1'000, {}, {}}; }

Buffer frame_of(const Message& message, std::uint32_t count) {
  return encode(envelope, message, texts(count, frame_header_size));
}

void count_tasks(benchmark::State& state, std::uint32_t tasks, std::size_t bytes) {
  state.counters["per_task"] =
      benchmark::Counter(tasks, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
}

// As a ventilator does: the payloads lie back to back already, and are copied in one piece.
void encode_tasks(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  const PayloadWriter source = texts(count, 0);
  const PayloadView payloads = source.view();
  const Message message = tasks_of(count);
  std::size_t bytes = 0;
  for (auto _ : state) {
    PayloadWriter writer{frame_header_size};
    writer.append(payloads, 0, count);
    const Buffer frame = encode(envelope, message, std::move(writer));
    bytes = frame.size();
    benchmark::DoNotOptimize(frame.data());
  }
  count_tasks(state, count, bytes);
}

// As a slot does: every result is packed where it will be sent from.
void encode_results(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  const Message message = results_of(count);
  std::size_t bytes = 0;
  for (auto _ : state) {
    const Buffer frame = frame_of(message, count);
    bytes = frame.size();
    benchmark::DoNotOptimize(frame.data());
  }
  count_tasks(state, count, bytes);
}

void decode_frame(benchmark::State& state, const Buffer& frame, std::uint32_t tasks) {
  for (auto _ : state) {
    const Result<Received> received = decode(frame);
    if (!received) return state.SkipWithError(received.error().message.c_str());
    benchmark::DoNotOptimize(received->message.index());
  }
  count_tasks(state, tasks, frame.size());
}

void decode_tasks(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  decode_frame(state, frame_of(tasks_of(count), count), count);
}

void decode_results(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  decode_frame(state, frame_of(results_of(count), count), count);
}

void encode_heartbeat(benchmark::State& state) {
  const Message message = Heartbeat{};
  for (auto _ : state) benchmark::DoNotOptimize(encode(envelope, message).data());
}

void decode_heartbeat(benchmark::State& state) { decode_frame(state, encode(envelope, Heartbeat{}), 1); }

// What the checksum alone takes of the above.
void checksum(benchmark::State& state) {
  Buffer bytes;
  bytes.extend(static_cast<std::size_t>(state.range(0)));
  std::memset(bytes.data(), 0x5a, bytes.size());
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(bytes));
  state.SetBytesProcessed(state.range(0) * static_cast<std::int64_t>(state.iterations()));
}

constexpr std::uint32_t strings = 1'024;

void pack_strings(benchmark::State& state) {
  Buffer buffer;
  for (auto _ : state) {
    buffer.clear();
    Packer packer{buffer};
    for (std::uint32_t i = 0; i < strings; ++i) packer.pack_string(text);
    benchmark::DoNotOptimize(buffer.data());
    benchmark::ClobberMemory();
  }
  count_tasks(state, strings, buffer.size());
}

void unpack_strings(benchmark::State& state) {
  const PayloadWriter packed = texts(strings, 0);
  const Bytes bytes = packed.view().run(0, strings);
  for (auto _ : state) {
    Unpacker unpacker{bytes};
    std::string_view found;
    while (unpacker.read_string(found) && !unpacker.at_end()) benchmark::DoNotOptimize(found.data());
    if (!unpacker.ok()) return state.SkipWithError(unpacker.error().message.c_str());
  }
  count_tasks(state, strings, bytes.size());
}

// 28,000 payloads of 32 bytes fill a frame of 1 MiB.
void batch_sizes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t count : {1, 32, 1'024, 28'000}) benchmark->Arg(count);
}

BENCHMARK(encode_tasks)->Apply(batch_sizes);
BENCHMARK(decode_tasks)->Apply(batch_sizes);
BENCHMARK(encode_results)->Apply(batch_sizes);
BENCHMARK(decode_results)->Apply(batch_sizes);
BENCHMARK(encode_heartbeat);
BENCHMARK(decode_heartbeat);
BENCHMARK(checksum)->Arg(72)->Arg(4'096)->Arg(1 << 20);
BENCHMARK(pack_strings);
BENCHMARK(unpack_strings);

}  // namespace
}  // namespace ventile

BENCHMARK_MAIN();
