#include <nodes/run/task_report.hpp>

#include <string_view>

#include <ventile/wire/convert.hpp>

namespace ventile {

Result<RunResult> read_result(const ResultItem& item) {
  RunResult result;
  if (item.outcome == Outcome::done) {
    Result<RunReport> report = unpack_from<RunReport>(item.payload);
    if (!report) return report.error();
    result.report = std::move(*report);
    result.has_report = true;
    return result;
  }
  result.kind = to_string(item.outcome);
  if (item.payload.empty()) return result;
  Unpacker unpacker{item.payload};
  std::uint32_t entries = 0;
  if (!unpacker.read_map(entries)) return unpacker.error();
  for (; entries > 0; --entries) {
    std::string_view key;
    if (!unpacker.read_string(key)) return unpacker.error();
    if (key == "kind") {
      unpack_value(unpacker, result.kind);
    } else if (key == "message") {
      unpack_value(unpacker, result.message);
    } else if (key == "detail") {
      result.has_report = unpack_value(unpacker, result.report);
    } else {
      unpacker.skip();
    }
    if (!unpacker.ok()) return unpacker.error();
  }
  return result;
}

}  // namespace ventile
