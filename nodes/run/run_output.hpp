// Where the results of a run go: each task's output in one piece, the job log, the folder of results.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <nodes/run/joblog.hpp>
#include <nodes/run/results_folder.hpp>
#include <nodes/run/spill.hpp>
#include <nodes/run/task_report.hpp>
#include <ventile/queue/output.hpp>

namespace ventile {

struct RunOutputOptions {
  std::unique_ptr<JobLog> joblog;          // Null: none.
  std::unique_ptr<ResultsFolder> results;  // Null: none.
  std::shared_ptr<SpillFile> spill;
  std::shared_ptr<Luggage> luggage;  // Null: no file comes back.
};

// On stdout and stderr. The first error is the last: what is written later fails with the same.
class RunOutput final : public Output {
public:
  explicit RunOutput(RunOutputOptions options) : options_(std::move(options)) {}

  Status write(const ResultItem& item) override;
  Status write_fold(Bytes packed, std::uint64_t count) override;
  Status flush() override;
  Status close() override { return flush(); }

private:
  static constexpr std::size_t flush_bytes = 256U << 10;

  // Text for one descriptor. What is on its way to one is written before anything is put on its way to the other, so
  // that a terminal shows both in order.
  struct Stream {
    int descriptor;
    std::string text;
  };

  RunOutputOptions options_;
  Stream stdout_{1, {}};
  Stream stderr_{2, {}};
  Status broken_;

  Status write_result(const ResultItem& item);
  Status print(Stream& stream, Stream& other, const CapturedOutput& output, std::string_view tag);
  static Status write_out(Stream& stream);
  static JobLogEntry log_entry(const RunResult& result);
};

}  // namespace ventile
