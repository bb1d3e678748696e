#include <nodes/console.hpp>

#include <cerrno>
#include <cstdlib>
#include <mutex>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <nlohmann/json.hpp>

namespace ventile {
namespace {

constexpr std::size_t usual_columns = 80;
constexpr std::string_view erase_line = "\r\x1b[K";

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string_view color_of(spdlog::level::level_enum level) {
  if (level == spdlog::level::err) return "\x1b[31m";
  if (level == spdlog::level::warn) return "\x1b[33m";
  return {};
}

std::string_view prefix_of(Level level) {
  if (level == Level::warning) return "warning: ";
  if (level == Level::debug) return "debug: ";
  return {};
}

// Everything is written, or the terminal is gone and there is nobody left to tell.
void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Shows control characters, which could drive a terminal or fake a line, as \xNN. U+0080 to U+009F are such too.
std::string without_controls(std::string_view text) {
  std::string clean;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto next = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0U;
    const bool is_wide_control = byte == 0xc2 && next >= 0x80 && next <= 0x9f;
    if (is_wide_control || byte == 0x7f || (byte < 0x20 && byte != '\t')) {
      clean += fmt::format("\\x{:02x}", byte);
      if (is_wide_control) clean += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++at]));
    } else {
      clean += text[at];
    }
  }
  return clean;
}

std::string line_of(std::string_view program, Level level, std::string_view message) {
  return fmt::format("{}: {}{}", program, prefix_of(level), without_controls(message));
}

std::string error_json(ExitCode code, std::string_view message, std::string_view hint) {
  const nlohmann::ordered_json document{{"error", {{"code", to_string(code)}, {"message", message}, {"hint", hint}}}};
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

// The place where lines and the bar meet, under one lock.
class Console::Screen : public spdlog::sinks::base_sink<std::mutex> {
public:
  explicit Screen(const ConsoleOptions& options)
      : descriptor_(options.descriptor), terminal_(options.terminal), color_(options.color) {
    set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::local, ""));
  }

  void set_bar(std::string_view line) {
    const std::lock_guard lock{mutex_};
    if (!terminal_ || bar_ == line) return;
    bar_ = line;
    write_all(descriptor_, std::string{erase_line} + bar_);
  }

  // Whether the line is the last error that was written, or ends with what that said.
  bool repeats_last_error(std::string_view line, std::string_view beginning) {
    const std::lock_guard lock{mutex_};
    return last_error_.size() > beginning.size() && last_error_.starts_with(beginning) &&
           line.ends_with(std::string_view{last_error_}.substr(beginning.size()));
  }

protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    const std::string_view color = color_ ? color_of(message.level) : std::string_view{};
    const std::string_view erase = bar_.empty() ? std::string_view{} : erase_line;
    const std::string_view line{formatted.data(), formatted.size()};
    if (message.level == spdlog::level::err) last_error_ = line;
    write_all(descriptor_, fmt::format("{}{}{}{}\n{}", erase, color, line, color.empty() ? "" : "\x1b[0m", bar_));
  }
  void flush_() override {}

private:
  int descriptor_;
  bool terminal_;
  bool color_;
  std::string bar_;
  std::string last_error_;
};

ConsoleOptions console_options(std::string program, bool quiet, bool verbose, bool json) {
  const char* const no_color = std::getenv("NO_COLOR");
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return {.program = std::move(program),
          .level = verbose ? Level::debug : (quiet ? Level::warning : Level::info),
          .json = json,
          .descriptor = STDERR_FILENO,
          .terminal = terminal,
          .color = terminal && (no_color == nullptr || *no_color == '\0')};
}

Console::Console(ConsoleOptions options)
    : options_(std::move(options)), screen_(std::make_shared<Screen>(options_)), log_(make_log()) {}

Console::~Console() { set_bar(""); }

Log Console::make_log() const {
  auto logger = std::make_shared<spdlog::logger>(options_.program, screen_);
  logger->set_level(to_spdlog(options_.level));
  return Log{[logger, program = options_.program](Level level, std::string_view line) {
    if (!logger->should_log(to_spdlog(level))) return;
    logger->log(to_spdlog(level), "{}", line_of(program, level, line));
  }};
}

void Console::error(ExitCode code, std::string_view message, std::string_view hint) {
  set_bar("");
  if (options_.json) {
    write_all(options_.descriptor, error_json(code, message, hint) + '\n');
    return;
  }
  const std::string line = line_of(options_.program, Level::error, message);
  if (!screen_->repeats_last_error(line, options_.program + ": ")) write(Level::error, message);
  if (!hint.empty()) write_all(options_.descriptor, fmt::format("{}\n", hint));
}

void Console::set_bar(std::string_view line) { screen_->set_bar(line); }

bool Console::is_terminal() const { return options_.terminal; }

std::size_t Console::columns() const {
  winsize size{};
  if (::ioctl(options_.descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual_columns;
  return size.ws_col;
}

int say(const ExitNow& exit, const std::string& program) {
  if (exit.code == ExitCode::success) {
    write_all(STDOUT_FILENO, exit.text);
  } else {
    Console{console_options(program, false, false, exit.json)}.error(exit.code, exit.text, exit.hint);
  }
  return to_int(exit.code);
}

}  // namespace ventile
