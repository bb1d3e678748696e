#include <nodes/run/run_output.hpp>

#include <csignal>

#include <nodes/run/live_output.hpp>

namespace ventile {

Status RunOutput::write(const ResultItem& item) {
  if (broken_) broken_ = write_result(item);
  return broken_;
}

Status RunOutput::write_result(const ResultItem& item) {
  Result<RunResult> result = read_result(item);
  if (!result) return Error{Code::invalid, "a task's result cannot be read: " + result.error().message};
  if (!result->has_report || result->kind == run_failure::cancelled) return {};
  const RunReport& report = result->report;
  const bool spilled = !report.standard_output.spilled.empty() || !report.standard_error.spilled.empty();
  if (spilled && report.spill_key != options_.spill->key())
    return Error{Code::invalid, "a task's result names outputs that are not here; its worker" +
                                    (report.host.empty() ? "" : " on " + report.host) + " is broken or hostile"};
  if (options_.luggage)
    if (Status unpacked = options_.luggage->unpack(report); !unpacked) return unpacked;
  if (Status printed = print(stdout_, stderr_, report.standard_output, report.tag); !printed) return printed;
  if (Status printed = print(stderr_, stdout_, report.standard_error, report.tag); !printed) return printed;
  if (options_.results)
    if (Status written = options_.results->write(report, *options_.spill); !written) return written;
  if (options_.joblog) options_.joblog->add(log_entry(*result));
  for (const CapturedOutput* output : {&report.standard_output, &report.standard_error})
    for (const Extent& extent : output->spilled) options_.spill->release(extent);
  return {};
}

Status RunOutput::print(Stream& stream, Stream& other, const CapturedOutput& output, std::string_view tag) {
  if (output.size() == 0) return {};
  if (Status written = write_out(other); !written) return written;
  bool at_line_start = true;
  const auto take = [&](std::string_view piece) -> Status {
    if (tag.empty()) {
      stream.text += piece;
    } else {
      stream.text += tagged(piece, tag, at_line_start);
    }
    return stream.text.size() < flush_bytes ? Status{} : write_out(stream);
  };
  for (const Extent& extent : output.spilled)
    if (Status written = options_.spill->read(extent, take); !written) return written;
  return take(output.bytes);
}

Status RunOutput::write_out(Stream& stream) {
  if (stream.text.empty()) return {};
  Status written = write_all(stream.descriptor, stream.text);
  stream.text.clear();
  return written;
}

JobLogEntry RunOutput::log_entry(const RunResult& result) {
  const RunReport& report = result.report;
  JobLogEntry entry;
  entry.sequence = report.sequence;
  if (!report.host.empty()) entry.host = report.host;
  entry.started = report.started;
  entry.seconds = report.seconds;
  entry.received = report.standard_output.size();
  entry.exit_value = report.exit_code;
  entry.signal = report.signal;
  entry.command = report.command;
  if (result.kind == run_failure::timeout) {
    entry.exit_value = -1;
    if (entry.signal == 0) entry.signal = SIGTERM;
  } else if (report.signal != 0) {
    entry.exit_value = 0;
  }
  return entry;
}

Status RunOutput::write_fold(Bytes /*packed*/, std::uint64_t /*count*/) {
  return Error{Code::invalid, "commands cannot be folded"};
}

Status RunOutput::flush() {
  for (Stream* stream : {&stdout_, &stderr_})
    if (broken_) broken_ = write_out(*stream);
  if (broken_ && options_.joblog) broken_ = options_.joblog->flush();
  return broken_;
}

}  // namespace ventile
