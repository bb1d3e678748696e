#include <limits>

#include <nodes/run/run_command.hpp>

namespace ventile {

OptionTable table_of(RunCommand& command) {
  OptionTable table{"ventile run", "Runs a command for every argument, many at once."};
  table.section("Most used");
  table.text("slots,j", "N", command.slots, "Commands at once: N, N% or +N of the processors, 0 for many.");
  table.flag("keep-order,k", command.keep_order, "Write outputs in the order of the arguments.");
  table.flag("dry-run", command.dry_run, "Show the commands, run none.");
  table.flag("bar", command.bar, "Show how far the run is.");
  table.flag("shell", command.shell, "The command is a line for sh; replacements are quoted.");
  table.flag("tag", command.tag, "Begin every line with the task's arguments.");
  table.text("joblog", "FILE", command.joblog, "Log every task that has ended.");
  table.flag("resume", command.resume, "Pass over the commands that --joblog has.");
  table.text("timeout", "TIME", command.timeout, "End a command that runs longer: seconds, or N% of the median.");
  table.integer("retries", command.retries, 1, 1'000'000, "Tries per task, the first one included.");
  table.choice("on-lost", command.on_lost, {{"rerun", OnLost::rerun}, {"fail", OnLost::fail}},
               "A command that was with a worker that is lost: run it again, or never.");
  table.halt("halt", command.halt, "End early: now or soon, fail, success or done = N or N%.");
  table.section("Arguments");
  table.flag("null,0", command.null_delimited, "Arguments of files end with NUL.");
  table.text("delimiter,d", "C", command.delimiter, "Arguments of files end with this character.");
  table.text("colsep,C", "REGEX", command.column_separator, "Split every argument into columns: {1}, {2}, …");
  table.text("trim", "n|l|r|lr", command.trim, "Remove blanks around arguments; with --colsep on both sides.");
  table.text("header", ":", command.header, "The first line names the columns: {name}.");
  table.integer("max-args,n", command.arguments_each, 1, 1'000'000,
                "Arguments per command; with --pipe records per block.");
  table.text("replace,I", "TEXT", command.replacement, "What stands for the arguments.");
  table.flag("no-run-if-empty,r", command.skip_empty, "An empty argument makes no task.");
  table.flag("link", command.link, "Go through all sources side by side, not through all combinations.");
  table.section("Input of the commands");
  table.flag("stdin", command.arguments_to_input, "Commands read their arguments from standard input.");
  table.flag("pipe", command.pipe, "Split standard input into blocks that commands read.");
  table.size("block", command.block_bytes, 1, "About how large a block is.");
  table.escaped_text("recend", command.record_end, "What ends a record; blocks are split between records.");
  table.escaped_text("recstart", command.record_start, "What begins a record.");
  table.section("Output");
  table.text("tagstring", "TEMPLATE", command.tag_template, "Begin every line with this.");
  table.flag("line-buffer", command.line_buffer, "Write whole lines as they come.");
  table.flag("ungroup,u", command.ungroup, "Commands write by themselves, mixed.");
  table.text("results", "DIR", command.results, "Write outputs into files below this folder, too.");
  table.flag("show-commands,t", command.says_commands, "Show each command on stderr when it starts.");
  table.section("Other machines");
  table.endpoint("bind,b", command.bind, "Machines that connect here with `ventile worker --exec '*'` help.");
  table.flag("remote-only", command.remote_only, "Run nothing on this machine.");
  table.texts("transfer", "FILE", command.transfer,
              "A file that a task on another machine needs; replacements are known.");
  table.texts("return", "FILE", command.bring_back, "A file that it makes and that comes back.");
  table.flag("cleanup", command.cleanup, "Remove both there when the task has ended.");
  table.text("keys", "DIR", command.keys, "Keys made by `ventile keygen`: all of them.");
  table.flag("insecure", command.insecure, "Allow addresses that other machines can reach, without keys.");
  table.integer("strangers-max", command.strangers_max, 1, std::numeric_limits<std::uint32_t>::max(),
                "With --keys: connections that may wait to be let in; then the oldest goes.");
  table.section("More");
  table.flag("resume-failed", command.resume_failed, "As --resume, but run again what has failed.");
  table.flag("retry-failed", command.retry_failed, "Run what has failed by --joblog, and nothing else.");
  table.duration("delay", command.delay, Duration::zero(), "Between two starts.");
  table.size("memfree", command.memory_free, 0, "Start nothing while less memory is free.");
  table.integer("nice", command.nice, 0, 19, "Niceness of the commands.");
  table.texts("env", "NAME", command.environment, "This variable must be set; on other machines commands get it, too.");
  table.text("workdir", "DIR", command.directory, "Where the commands run; made if it is not there.");
  table.section("Common");
  table.text("config", "FILE", command.common.config, "Read this configuration file in place of the usual three.");
  table.flag("quiet,q", command.common.quiet, "Say only warnings and errors.");
  table.flag("verbose,v", command.common.verbose, "Say everything.");
  table.flag("json", command.common.json, "Print errors and the summary as JSON.");
  return table;
}

}  // namespace ventile
