#include <nodes/run/dialect.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include <nodes/reach.hpp>
#include <nodes/role_tables.hpp>
#include <nodes/run/time_limit.hpp>

namespace ventile {
namespace {

// Other names that GNU Parallel and xargs have for our options.
const std::map<std::string_view, std::string_view>& aliases() {
  static const std::map<std::string_view, std::string_view> all{
      {"jobs", "slots"},
      {"max-procs", "slots"},
      {"P", "slots"},
      {"keeporder", "keep-order"},
      {"dryrun", "dry-run"},
      {"eta", "bar"},
      {"progress", "bar"},
      {"arg-file", "a"},
      {"max-replace-args", "max-args"},
      {"N", "max-args"},
      {"lb", "line-buffer"},
      {"linebuffer", "line-buffer"},
      {"wd", "workdir"},
      {"res", "results"},
      {"result", "results"},
      {"spreadstdin", "pipe"},
      {"block-size", "block"},
      {"tag-string", "tagstring"},
      {"i", "replace"},
      {"xapply", "link"},
      {"verbose-commands", "show-commands"},
      {"transferfile", "transfer"},
      {"tf", "transfer"},
  };
  return all;
}

// Accepted, for what they ask for is so anyway.
bool is_granted(std::string_view name) {
  static constexpr std::array<std::string_view, 6> granted{"will-cite", "no-notice", "group",
                                                           "g",         "quote",     "no-ctrl-c"};
  return std::find(granted.begin(), granted.end(), name) != granted.end();
}

// What GNU Parallel has and we do not, and what comes nearest.
const std::map<std::string_view, std::string_view>& nearest_things() {
  static constexpr std::string_view remote =
      "--bind tcp://HOST:5570 here, and on the others ventile worker --exec '*' --connect tcp://HOST:5570";
  static constexpr std::string_view with_n = "-n N, so many arguments per command";
  static constexpr std::string_view with_pipe = "--pipe, by which blocks come from standard input";
  static constexpr std::string_view with_results = "--results DIR, which keeps outputs in files";
  static constexpr std::string_view with_memfree = "--memfree SIZE, or -j";
  static constexpr std::string_view with_shell = "--shell, and the shell's own expansions";
  static constexpr std::string_view with_colsep = "--colsep REGEX";
  static const std::map<std::string_view, std::string_view> all{
      {"X", with_n},
      {"m", with_n},
      {"xargs", with_n},
      {"s", with_n},
      {"max-chars", with_n},
      {"L", with_n},
      {"l", with_n},
      {"max-lines", with_n},
      {"S", remote},
      {"sshlogin", remote},
      {"slf", remote},
      {"sshloginfile", remote},
      {"onall", remote},
      {"nonall", remote},
      {"basefile", "--transfer FILE, by which a file goes with every task"},
      {"bf", "--transfer FILE, by which a file goes with every task"},
      {"controlmaster", remote},
      {"M", remote},
      {"pipe-part", with_pipe},
      {"pipepart", with_pipe},
      {"round-robin", with_pipe},
      {"round", with_pipe},
      {"roundrobin", with_pipe},
      {"cat", with_pipe},
      {"fifo", with_pipe},
      {"tee", with_pipe},
      {"regexp", "--recend TEXT, which is taken literally"},
      {"remove-rec-sep", "--recend TEXT; records keep their ends"},
      {"rrs", "--recend TEXT; records keep their ends"},
      {"files", with_results},
      {"files0", with_results},
      {"compress", with_results},
      {"csv", with_colsep},
      {"load", with_memfree},
      {"noswap", with_memfree},
      {"limit", with_memfree},
      {"memsuspend", with_memfree},
      {"rpl", with_shell},
      {"plus", with_shell},
      {"parens", with_shell},
      {"tmux", "--line-buffer, which shows output as it comes"},
      {"shuf", "shuf(1) in front: shuf args | ventile run …"},
      {"skip-first-line", "tail -n +2 in front, or --header :"},
      {"E", "sed '/END/Q' in front"},
      {"eof", "sed '/END/Q' in front"},
      {"semaphore", "flock(1)"},
      {"sem", "flock(1)"},
      {"sqlmaster", "--joblog FILE"},
      {"sqlworker", "--joblog FILE"},
      {"sqlandworker", "--joblog FILE"},
      {"tmpdir", "the variable TMPDIR"},
      {"tempdir", "the variable TMPDIR"},
      {"termseq", "nothing: TERM, and KILL two seconds later"},
      {"interactive", "--dry-run"},
      {"p", "--dry-run"},
      {"tty", "nothing: commands have no terminal"},
      {"arg-sep", ":::, which is fixed"},
      {"arg-file-sep", "::::, which is fixed"},
      {"profile", "./ventile.toml, section [run]"},
      {"J", "./ventile.toml, section [run]"},
      {"filter", "grep(1) in front"},
      {"shellquote", "--dry-run"},
      {"env-all", "nothing: commands have all variables"},
      {"minversion", "--version"},
      {"citation", "nothing: none is asked for"},
      {"bibtex", "nothing: none is asked for"},
      {"V", "--version"},
  };
  return all;
}

ExitNow usage_error(std::string text, std::string hint = "Try 'ventile run --help'.") {
  return {ExitCode::usage, std::move(text), std::move(hint), false};
}

// Sizes with one letter, as GNU Parallel reads them: k is 1000, K is 1024.
std::string plain_size(std::string value) {
  if (value.empty()) return value;
  const char unit = value.back();
  if (std::string_view{"KMGT"}.find(unit) != std::string_view::npos) return value + "iB";
  if (std::string_view{"kmgt"}.find(unit) != std::string_view::npos) return value + "B";
  return value;
}

std::string plain_halt(const std::string& value) {
  if (value == "0") return "never";
  if (value == "1") return "soon,fail=1";
  if (value == "2") return "now,fail=1";
  return value;
}

bool starts_source(std::string_view word) {
  return word == ":::" || word == ":::+" || word == "::::" || word == "::::+";
}

// Reads the command line once, from left to right.
class LineSplitter {
public:
  explicit LineSplitter(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  Parsed<RunLine> split() {
    while (at_ < arguments_.size() && !error_ && is_option(arguments_[at_])) read_option(arguments_[at_++]);
    if (error_) return *error_;
    if (at_ < arguments_.size() && arguments_[at_] == "--") ++at_;
    while (at_ < arguments_.size() && !starts_source(arguments_[at_])) line_.command.push_back(arguments_[at_++]);
    while (at_ < arguments_.size()) read_source();
    return std::move(line_);
  }

private:
  const std::vector<std::string>& arguments_;
  std::size_t at_ = 0;
  RunLine line_;
  std::optional<ExitNow> error_;
  RunCommand defaults_;
  OptionTable table_ = table_of(defaults_);

  static bool is_option(const std::string& word) { return word.size() > 1 && word.front() == '-' && word != "--"; }

  void read_option(const std::string& word) {
    if (!word.starts_with("--")) return read_letters(word);
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    read_named(name, word.substr(0, equals),
               equals == std::string::npos ? std::nullopt : std::optional{word.substr(equals + 1)});
  }

  // "-k", "-kj4", "-j 4", "-j+2".
  void read_letters(const std::string& word) {
    for (std::size_t i = 1; i < word.size() && !error_; ++i) {
      const std::string letter(1, word[i]);
      const std::string name = name_of(letter);
      const Option* const option = table_.find(name);
      const bool takes_value = name == "a" || (option != nullptr && option->shape != Option::Shape::flag);
      const bool has_value = takes_value && i + 1 < word.size();
      read_named(name, "-" + letter, has_value ? std::optional{word.substr(i + 1)} : std::nullopt);
      if (has_value) return;
    }
  }

  std::string name_of(const std::string& given) const {
    if (const auto alias = aliases().find(given); alias != aliases().end()) return std::string{alias->second};
    if (given == "h") return "help";
    if (given.size() == 1)
      for (const Option& option : table_.options())
        if (option.letter == given.front()) return option.name;
    return given;
  }

  void read_named(const std::string& given, const std::string& shown, std::optional<std::string> value) {
    const std::string name = name_of(given);
    if (name == "help" || name == "version") return line_.options.push_back("--" + name);
    if (is_granted(name)) return;
    const bool negated = name.starts_with("no-") && table_.find(name) == nullptr;
    const Option* const option = table_.find(negated ? name.substr(3) : name);
    if (option == nullptr && name != "a" && name != "trc") return refuse(name, shown);
    if (option != nullptr && option->shape == Option::Shape::flag) {
      line_.options.push_back("--" + name + (value ? "=" + *value : ""));
      return;
    }
    // GNU Parallel's --transfer has no value and means --transferfile {}.
    if (name == "transfer" && !value && (at_ == arguments_.size() || is_option(arguments_[at_]))) value = "{}";
    if (!value) {
      if (at_ == arguments_.size()) {
        error_ = usage_error(fmt::format("{} needs a value", shown));
        return;
      }
      value = arguments_[at_++];
    }
    if (name == "trc") {
      line_.options.insert(line_.options.end(), {"--transfer={}", "--return=" + *value, "--cleanup"});
      return;
    }
    if (name == "a") return line_.sources.push_back({{}, *value, true, false});
    if (name == "block" || name == "memfree") value = plain_size(*value);
    if (name == "halt") value = plain_halt(*value);
    line_.options.push_back("--" + name + "=" + *value);
  }

  void refuse(const std::string& name, const std::string& shown) {
    if (const auto near = nearest_things().find(name); near != nearest_things().end()) {
      error_ =
          usage_error(fmt::format("{} of GNU Parallel is not here; what comes nearest is {}", shown, near->second));
      return;
    }
    std::vector<std::string> known{"--help", "--version"};
    for (const Option& option : table_.options()) known.push_back(option.flag_name());
    const std::string near = nearest(shown, known);
    error_ = usage_error(near.empty() ? fmt::format("unknown option {}", shown)
                                      : fmt::format("unknown option {}; did you mean {}?", shown, near));
  }

  // ":::" and its like, and what follows up to the next one.
  void read_source() {
    const std::string kind = arguments_[at_++];
    std::vector<std::string> words;
    while (at_ < arguments_.size() && !starts_source(arguments_[at_])) words.push_back(arguments_[at_++]);
    const bool linked = kind.back() == '+';
    if (kind.starts_with("::::")) {
      for (const std::string& file : words) line_.sources.push_back({{}, file, true, linked});
    } else {
      line_.sources.push_back({std::move(words), {}, false, linked});
    }
  }
};

std::optional<ExitNow> check(RunCommand& run) {
  const auto exclude = [](bool one, std::string_view first, bool other, std::string_view second) {
    return one && other ? std::optional{usage_error(fmt::format("{} and {} exclude each other", first, second), "")}
                        : std::nullopt;
  };
  for (const auto& objection :
       {exclude(run.common.quiet, "--quiet", run.common.verbose, "--verbose"),
        exclude(run.pipe, "--pipe", !run.sources.empty(), "arguments (:::, ::::, -a)"),
        exclude(run.pipe, "--pipe", run.arguments_to_input, "--stdin"),
        exclude(run.pipe, "--pipe", run.resume || run.resume_failed || run.retry_failed, "--resume"),
        exclude(run.arguments_to_input, "--stdin", run.resume || run.resume_failed || run.retry_failed,
                "--resume, whose log knows commands by their text and not by what they read"),
        exclude(run.ungroup, "--ungroup", run.keep_order, "--keep-order"),
        exclude(run.ungroup, "--ungroup", run.tag || !run.tag_template.empty(), "--tag"),
        exclude(run.ungroup, "--ungroup", !run.results.empty(), "--results"),
        exclude(run.line_buffer, "--line-buffer", run.keep_order, "--keep-order"),
        exclude(run.line_buffer, "--line-buffer", !run.results.empty(), "--results"),
        exclude(run.null_delimited, "--null", !run.delimiter.empty(), "--delimiter"),
        exclude(run.retry_failed, "--retry-failed", !run.transfer.empty() || !run.bring_back.empty(),
                "--transfer and --return, whose arguments the log does not know"),
        exclude(run.bind.has_value(), "--bind", run.ungroup || run.line_buffer || run.says_commands,
                "--ungroup, --line-buffer and --show-commands, which only this machine's commands could obey"),
        exclude(run.retry_failed, "--retry-failed", !run.command.empty() || !run.sources.empty(),
                "a command or arguments: what is run comes from --joblog")})
    if (objection) return objection;
  const bool files_travel = !run.transfer.empty() || !run.bring_back.empty();
  if ((files_travel || run.cleanup) && !run.bind)
    return usage_error("--transfer, --return and --cleanup are for other machines", "Add --bind ADDRESS.");
  if (files_travel && !run.directory.empty() && !run.remote_only)
    return usage_error("--transfer and --return with --workdir need --remote-only",
                       "Commands on this machine would look for the files in that folder, and they are not there.");
  if (!run.keys.empty() && !run.bind)
    return usage_error("--keys is for other machines", "Add --bind ADDRESS, to which they connect.");
  if (run.remote_only && !run.bind)
    return usage_error("--remote-only needs other machines", "Add --bind ADDRESS, to which they connect.");
  if (run.bind && (run.bind->transport != Transport::tcp || run.bind->is_wildcard()))
    return usage_error(
        fmt::format("--bind {} is no address by which other machines reach this one", run.bind->to_string()),
        "Give one, such as tcp://192.168.0.1:5570 or tcp://eth0:5570.");
  if (run.bind)
    if (auto objection = check_reach("bind", *run.bind, {run.keys, run.insecure})) return objection;
  if ((run.resume || run.resume_failed || run.retry_failed) && run.joblog.empty())
    return usage_error("--resume, --resume-failed and --retry-failed read a log: give --joblog FILE", "");
  if (!run.header.empty() && run.header != ":") return usage_error("--header: expected :, got " + run.header);
  if (run.replacement.empty()) return usage_error("--replace: expected some text, got none");
  if (Status limit = TimeLimit::check(run.timeout); !limit) return usage_error("--timeout: " + limit.error().message);
  if (Result<std::uint32_t> slots = run_slots(run.slots, 1); !slots)
    return usage_error("--slots: " + slots.error().message);
  static constexpr std::array<std::string_view, 6> trims{"", "n", "l", "r", "lr", "rl"};
  if (std::find(trims.begin(), trims.end(), run.trim) == trims.end())
    return usage_error("--trim: expected n, l, r or lr, got \"" + run.trim + "\"");
  if (run.delimiter == "\\t") run.delimiter = "\t";
  if (run.delimiter == "\\n") run.delimiter = "\n";
  if (run.delimiter == "\\0") run.delimiter = std::string(1, '\0');
  if (run.delimiter.size() > 1)
    return usage_error("--delimiter: expected one character, got \"" + run.delimiter + "\"");
  if (run.link)
    for (SourceSpec& source : run.sources) source.linked = true;
  if (!run.sources.empty() && run.sources.front().linked) run.sources.front().linked = false;
  if (run.command.empty() && !run.retry_failed && !run.shell) {
    return run.pipe ? usage_error("a command is missing: what is to read the blocks?")
                    : usage_error("a command is missing",
                                  "If each argument is a command line of its own, --shell runs it by sh.");
  }
  if (!run.shell && run.command.size() == 1 && run.command.front().find_first_of(" \t\n") != std::string::npos) {
    return usage_error(fmt::format("'{}' is one word with blanks, and no program", run.command.front()),
                       "Without quotes it is a command and its arguments; with --shell it is a line for sh.");
  }
  return std::nullopt;
}

// Those that mean something for arguments that are split already.
std::vector<std::string> kept_options(const std::vector<std::string>& options) {
  static constexpr std::array<std::string_view, 11> dropped{"null",   "delimiter",     "colsep",          "trim",
                                                            "header", "max-args",      "no-run-if-empty", "link",
                                                            "resume", "resume-failed", "retry-failed"};
  std::vector<std::string> kept;
  std::copy_if(options.begin(), options.end(), std::back_inserter(kept), [](const std::string& option) {
    const std::string name =
        option.substr(2, option.find('=') == std::string::npos ? option.npos : option.find('=') - 2);
    return std::find(dropped.begin(), dropped.end(), name) == dropped.end();
  });
  return kept;
}

}  // namespace

Result<std::uint32_t> run_slots(const std::string& text, std::uint32_t processors) {
  const auto wrong = [&] { return Error{Code::invalid, "expected N, N%, +N, -N or 0, got \"" + text + "\""}; };
  const auto clamp = [](std::int64_t count) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 1, run_slots_max));
  };
  if (text.ends_with('%')) {
    const Result<double> percent = parse_real(std::string_view{text}.substr(0, text.size() - 1), 0, 1e6);
    if (!percent) return wrong();
    return clamp(std::llround(std::min(*percent / 100 * processors, 1e9)));
  }
  const bool relative = text.starts_with('+') || text.starts_with('-');
  const Result<std::int64_t> count = parse_integer(std::string_view{text}.substr(relative ? 1 : 0), 0, 1'000'000);
  if (!count) return wrong();
  if (relative) return clamp(std::int64_t{processors} + (text.front() == '-' ? -*count : *count));
  return *count == 0 ? run_slots_max : clamp(*count);
}

std::uint32_t slots_within(std::uint32_t wanted, std::uint64_t descriptors) {
  if (descriptors < run_descriptors_min) return 0;
  const std::uint64_t most = 1 + (descriptors - run_descriptors_min) / run_descriptors_each;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, most));
}

Parsed<RunLine> split_run_line(const std::vector<std::string>& arguments) { return LineSplitter{arguments}.split(); }

Parsed<RunCommand> parse_run_options(const std::vector<std::string>& arguments, const Surroundings& around) {
  Parsed<RunLine> split = split_run_line(arguments);
  if (auto* exit = std::get_if<ExitNow>(&split)) {
    exit->json = wants_json(arguments, around);
    return std::move(*exit);
  }
  auto& line = std::get<RunLine>(split);
  if (std::find(line.options.begin(), line.options.end(), "--help") != line.options.end())
    return ExitNow{ExitCode::success, run_help(), {}, false};
  RunCommand run;
  auto resolved = resolve(table_of(run), "run", known_keys(), line.options, around);
  std::optional<ExitNow> wrong;
  if (auto* exit = std::get_if<ExitNow>(&resolved)) {
    wrong = std::move(*exit);
  } else {
    run.kept_options = kept_options(line.options);
    run.command = std::move(line.command);
    run.sources = std::move(line.sources);
    wrong = check(run);
  }
  if (!wrong) return run;
  wrong->json = wrong->code != ExitCode::success && wants_json(line.options, around);
  return std::move(*wrong);
}

std::string run_help() {
  return R"(Usage: ventile run [OPTION]... COMMAND [WORD]... [::: ARGUMENT...]...
Runs COMMAND once per argument (of :::, else per line of standard input), many
at once, and writes each one's output in one piece. No shell is involved.

  -j, --slots N      commands at once: 4, 50%, +2 [all processors]
  -k, --keep-order   outputs in the order of the arguments
      --dry-run      show the commands, run none
      --bar          show how far the run is (also --eta, --progress)
      --shell        COMMAND is a line for sh; replacements are quoted
      --tag          begin every line with the arguments
      --joblog FILE  log what has ended; with --resume pass over what is there
      --timeout T    end a command after T seconds, or N% of the median
      --retries N    tries per task      --halt now,fail=1  end at a failure

{} the argument  {.} no extension  {/} no folder  {//} folder  {/.} neither
{2} {-1} {2.} one of several  {#} number  {%} slot  :::+ linked  :::: from files

Arguments: -a FILE -0 -d C -C REGEX -I TEXT -n N -r --header : --link --trim
Input:     --stdin --pipe --block SIZE --recend TEXT --recstart TEXT
Output:    --tagstring T --line-buffer -u --results DIR -t --json -q -v
Machines:  --bind ADDRESS --remote-only --transfer F --return F --cleanup
           --keys DIR --insecure --strangers-max N; there: worker --exec '*'
More:      --resume-failed --retry-failed --delay T --memfree SIZE --nice N
           --env NAME --workdir DIR --on-lost W --config F  `man ventile-run`
)";
}

}  // namespace ventile
