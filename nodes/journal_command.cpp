// `ventile journal`: looks into a journal without its owner, and ends a damaged one before the damage.
#include <nodes/node.hpp>

#include <cstdio>
#include <string>
#include <string_view>

#include <nodes/console.hpp>
#include <ventile/journal/reader.hpp>

namespace ventile {
namespace {

constexpr std::string_view program = "ventile journal";
constexpr std::string_view usage =
    "usage: ventile journal inspect|verify|repair DIR\n\n"
    "  inspect   what is in it, segment by segment\n"
    "  verify    whether it is whole; exits with 1 if not\n"
    "  repair    ends a damaged journal before the damage; what was behind it is kept in *.damaged\n";

int fail(ExitCode code, const std::string& why, const std::string& hint = {}) {
  return say({code, why, hint, false}, std::string{program});
}

int describe(const Folder& folder, const JournalContent& content, bool with_segments) {
  std::uint64_t records = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t batches = 0;
  for (const SegmentContent& segment : content.segments) {
    if (with_segments)
      std::printf("%s  %llu bytes, positions %llu to %llu, %llu records in %llu batches\n", segment.name.c_str(),
                  static_cast<unsigned long long>(segment.bytes), static_cast<unsigned long long>(segment.header.first),
                  static_cast<unsigned long long>(segment.end), static_cast<unsigned long long>(segment.records),
                  static_cast<unsigned long long>(segment.batches));
    records += segment.records;
    snapshots += segment.snapshots;
    batches += segment.batches;
  }
  const std::string owner = content.empty() ? "" : owner_name(content.segments.front().header.owner);
  std::printf("%s: journal of a %s, %zu %s, %llu records in %llu batches, %llu snapshots, torn tail of %llu bytes\n",
              folder.path().c_str(), owner.c_str(), content.segments.size(),
              content.segments.size() == 1 ? "segment" : "segments", static_cast<unsigned long long>(records),
              static_cast<unsigned long long>(batches), static_cast<unsigned long long>(snapshots),
              static_cast<unsigned long long>(content.torn_bytes));
  if (content.damage) return fail(ExitCode::task_failed, damage_error(folder, *content.damage).message);
  return to_int(ExitCode::success);
}

int look(const std::string& path, bool with_segments) {
  const Result<std::unique_ptr<Folder>> folder = open_existing_folder(path, false);
  if (!folder) return fail(ExitCode::usage, folder.error().message);
  const Result<JournalContent> content = read_journal(**folder, [](const RecordView&) { return Status{}; });
  if (!content) return fail(ExitCode::task_failed, content.error().message);
  if (content->empty() && !content->damage) return fail(ExitCode::usage, "there is no journal in " + path);
  return describe(**folder, *content, with_segments);
}

int repair(const std::string& path) {
  if (const Result<std::unique_ptr<Folder>> folder = open_existing_folder(path, false); folder) {
    const Result<JournalContent> content = read_journal(**folder, [](const RecordView&) { return Status{}; });
    if (content && content->empty() && !content->damage) return fail(ExitCode::usage, "there is no journal in " + path);
  }
  const Result<std::unique_ptr<Folder>> folder = open_existing_folder(path, true);
  if (!folder) return fail(ExitCode::usage, folder.error().message);
  const Result<Repair> repaired = repair_journal(**folder);
  if (!repaired) return fail(ExitCode::task_failed, repaired.error().message);
  if (repaired->kept_aside.empty()) {
    std::printf("%s: nothing to repair; %llu records\n", path.c_str(),
                static_cast<unsigned long long>(repaired->records_left));
    return to_int(ExitCode::success);
  }
  std::printf("%s: ends before the damage; %llu records left, %llu readable ones behind it given up\n", path.c_str(),
              static_cast<unsigned long long>(repaired->records_left),
              static_cast<unsigned long long>(repaired->records_lost));
  for (const std::string& name : repaired->kept_aside) std::printf("kept: %s/%s\n", path.c_str(), name.c_str());
  return to_int(ExitCode::success);
}

}  // namespace

int run_journal(const Invocation& invocation) {
  const std::string what = invocation.options.empty() ? "" : invocation.options.front();
  if (what == "--help" || what == "-h") return say({ExitCode::success, std::string{usage}, {}, false}, "ventile");
  if (what != "inspect" && what != "verify" && what != "repair")
    return fail(ExitCode::usage, what.empty() ? "expected inspect, verify or repair" : "there is no '" + what + "'",
                std::string{usage});
  if (invocation.options.size() != 2) return fail(ExitCode::usage, "expected one folder", std::string{usage});
  const std::string& path = invocation.options[1];
  return what == "repair" ? repair(path) : look(path, what == "inspect");
}

}  // namespace ventile
