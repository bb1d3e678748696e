// What does it cost to be durable, and how long does it take to come back?
//
// The folder is below TMPDIR: set it to the disk that is to be measured. A file system in memory says nothing.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include <ventile/journal/journal.hpp>
#include <ventile/journal/writer.hpp>

namespace ventile {
namespace {

constexpr std::uint16_t kind = 1;

class Place {
public:
  Place() : path_(std::filesystem::temp_directory_path() / ("journal-bench-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
    folder_ = *open_folder(path_, true);
  }
  ~Place() {
    folder_.reset();
    std::filesystem::remove_all(path_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::unique_ptr<Journal> open() {
    return *Journal::open(*folder_, {.owner = "bench", .segment_bytes = std::uint64_t{64} << 20},
                          [](const RecordView&) { return Status{}; });
  }

private:
  std::string path_;
  std::unique_ptr<Folder> folder_;
};

Buffer record_of(std::size_t size) {
  Buffer bytes;
  std::memset(bytes.extend(size), 0x5a, size);
  return bytes;
}

// One sync for `batch` records of 100 bytes, one after the other.
void commit_batches(benchmark::State& state) {
  Place place;
  const std::unique_ptr<Journal> journal = place.open();
  const Buffer record = record_of(100);
  const auto batch = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < batch; ++i)
      if (!journal->append(kind, record)) return state.SkipWithError("append");
    if (!journal->commit()) return state.SkipWithError("commit");
    if (journal->bytes_since_snapshot() > (std::uint64_t{256} << 20)) {
      state.PauseTiming();
      if (!journal->append_snapshot(kind, record) || !journal->commit()) return state.SkipWithError("snapshot");
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}

// Records of `size` bytes as fast as they can be had, through the writer's thread: group commit.
void group_commit(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::uint64_t records = 0;
  std::uint64_t flushes = 0;
  for (auto _ : state) {
    Place place;
    std::atomic<std::uint64_t> persisted{0};
    constexpr std::uint64_t count = 500'000;
    {
      JournalWriter writer{place.open(), {}, {{}, [&](std::uint64_t token) { persisted = token; }, {}, {}}};
      for (std::uint64_t n = 1; n <= count; ++n)
        while (!writer.append(n, kind, record_of(size))) std::this_thread::yield();
      while (persisted.load() < count) std::this_thread::yield();
      flushes += writer.flushes();
    }
    records += count;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
  state.SetBytesProcessed(static_cast<std::int64_t>(records * size));
  state.counters["records_per_flush"] = static_cast<double>(records) / static_cast<double>(flushes);
}

// A journal of 10^8 finished tasks, a record of 64 bytes for each `range` of them, is read back.
void recover(benchmark::State& state) {
  Place place;
  std::unique_ptr<Journal> journal = place.open();
  const Buffer record = record_of(64);
  const std::uint64_t records = 100'000'000 / static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t n = 0; n < records; ++n) {
    if (!journal->append(kind, record)) return state.SkipWithError("append");
    if (n % 10'000 == 9'999 && !journal->commit()) return state.SkipWithError("commit");
  }
  if (!journal->commit()) return state.SkipWithError("commit");
  for (auto _ : state) {
    journal.reset();
    journal = place.open();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(records));
}

BENCHMARK(commit_batches)->Arg(1)->Arg(100)->Arg(1'000)->Arg(10'000)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(group_commit)->Arg(32)->Arg(100)->Arg(1'000)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(1);
BENCHMARK(recover)->Arg(1'000)->Arg(100)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(3);

}  // namespace
}  // namespace ventile

BENCHMARK_MAIN();
