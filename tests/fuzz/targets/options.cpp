// Whatever a user may write: addresses, quantities, rules, templates, whole command lines and configuration files. The
// first byte says which.
#include <vector>

#include <tests/fuzz/fuzz.hpp>
#include <ventile/keys/key_files.hpp>
#include <ventile/net/endpoint.hpp>

#include "nodes/config.hpp"
#include "nodes/halt.hpp"
#include "nodes/options.hpp"
#include "nodes/quantity.hpp"
#include "nodes/run/dialect.hpp"
#include "nodes/run/template.hpp"

using namespace ventile;

namespace {

std::vector<std::string> words_of(fuzz::Feed& feed) {
  std::vector<std::string> words;
  while (!feed.empty() && words.size() < 64) words.push_back(feed.text_until('\0'));
  return words;
}

// Nothing of this machine: no environment, no files.
Surroundings nowhere() {
  Surroundings around;
  around.directory = "/nonexistent";
  around.system_config = "/nonexistent/config.toml";
  return around;
}

void read_value(const std::string& text) {
  if (const Result<Endpoint> endpoint = Endpoint::parse(text)) {
    const Result<Endpoint> again = Endpoint::parse(endpoint->to_string());
    fuzz::hold(again && again->to_string() == endpoint->to_string(), "an address is read as it is written");
  }
  if (const Result<Duration> duration = parse_duration(text))
    fuzz::hold(static_cast<bool>(parse_duration(to_text(*duration))), "a duration is read as it is written");
  if (const Result<std::uint64_t> size = parse_size(text)) {
    const Result<std::uint64_t> again = parse_size(size_to_text(*size));
    fuzz::hold(again && *again == *size, "a size is read as it is written");
  }
  if (const Result<IndexRange> range = parse_index_range(text))
    fuzz::hold(static_cast<bool>(parse_index_range(to_text(*range))), "a range is read as it is written");
  if (const Result<std::optional<HaltRule>> rule = parse_halt(text))
    fuzz::hold(static_cast<bool>(parse_halt(to_text(*rule))), "a rule is read as it is written");
  (void)parse_integer(text, INT64_MIN, INT64_MAX);
  (void)parse_real(text, -1e300, 1e300);
  (void)parse_switch(text);
  (void)run_slots(text, 8);
  (void)is_curve_key(text);
  (void)is_key_name(text);
}

void read_template(fuzz::Feed& feed) {
  TemplateOptions options;
  options.shell = feed.below(2) == 1;
  options.names = {"name"};
  const std::vector<std::string> words = words_of(feed);
  const Result<CommandTemplate> command = CommandTemplate::parse(words, options);
  if (!command) return;
  (void)command->words({"an argument", "a/b.c"}, {2, 3});
  (void)command->text({}, {1, 1});
}

void read_config(const std::string& text) {
  (void)ConfigFile::parse(text, "ventile.toml", {{"", {"connect", "slots"}}, {"worker", {"slots", "exec"}}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Feed feed{fuzz::bytes_of(data, size)};
  switch (feed.below(8)) {
    case 0:
      read_value(std::string{as_text(feed.rest())});
      break;
    case 1:
      read_template(feed);
      break;
    case 2:
      read_config(std::string{as_text(feed.rest())});
      break;
    case 3:
      (void)parse_run_options(words_of(feed), nowhere());
      break;
    case 4:
      (void)parse_worker_options(words_of(feed), nowhere());
      break;
    case 5:
      (void)parse_ventilator_options(words_of(feed), nowhere());
      break;
    case 6:
      (void)parse_sink_options(words_of(feed), nowhere());
      break;
    default:
      (void)parse_broker_options(words_of(feed), nowhere());
  }
  return 0;
}
