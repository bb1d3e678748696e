#include <tests/system/fabric.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace ventile {
namespace {

bool is_free(std::uint16_t port) {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(probe);
  return bound;
}

Summary summary_of(const nlohmann::json& document) {
  Summary summary;
  const auto& outcomes = document.at("outcomes");
  const auto& audit = document.at("audit");
  document.at("submitted").get_to(summary.submitted);
  document.at("skipped").get_to(summary.skipped);
  document.at("workers_seen").get_to(summary.workers_seen);
  document.at("batches_requeued").get_to(summary.batches_requeued);
  document.at("duplicates_dropped").get_to(summary.duplicates_dropped);
  document.at("refusals").get_to(summary.refusals);
  document.at("retries").get_to(summary.retries);
  outcomes.at("done").get_to(summary.done);
  outcomes.at("failed").get_to(summary.failed);
  outcomes.at("dead").get_to(summary.dead);
  outcomes.at("cancelled").get_to(summary.cancelled);
  audit.at("settled").get_to(summary.settled);
  audit.at("lost").get_to(summary.lost);
  audit.at("counted_twice").get_to(summary.counted_twice);
  for (const auto& group : document.at("failures")) summary.failures.push_back(group.at("message"));
  return summary;
}

}  // namespace

Summary summary_in(const std::string& text) {
  for (const std::string& line : lines_of_text(text))
    if (line.starts_with("{\"schema\"")) return summary_of(nlohmann::json::parse(line));
  ADD_FAILURE() << "there is no summary in '" << text << "'";
  return {};
}

std::vector<std::string> lines_of_text(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);) lines.push_back(std::move(line));
  return lines;
}

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::vector<std::string> sorted_lines(const std::string& path) {
  std::vector<std::string> lines = lines_of_text(read_file(path));
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<std::string> numbers_below(std::int64_t count) {
  std::vector<std::string> numbers;
  for (std::int64_t number = 0; number < count; ++number) numbers.push_back(std::to_string(number));
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::uint16_t free_port() {
  constexpr int first = 20'000;
  constexpr int count = 10'000;
  for (int i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(first + (getpid() * 16 + i) % count);
    if (is_free(port)) return port;
  }
  throw std::runtime_error("no port is free");
}

SystemTest::SystemTest() {
  for (const char* variable : {"XDG_CONFIG_HOME", "HOME"}) setenv(variable, folder_.path("").c_str(), 1);
}

SystemTest::~SystemTest() {
  if (HasFailure())
    for (const auto& process : processes_)
      std::cerr << "--- " << process->name() << " " << process->pid() << (process->running() ? " still runs" : "")
                << "\n"
                << process->errors() << process->output().substr(0, 4096) << "\n";
  while (!processes_.empty()) processes_.pop_back();
}

Process& SystemTest::start(const std::string& program, const Arguments& arguments, int input) {
  Launch launch{prefix_, folder_.path(""), input};
  launch.arguments.push_back(program.starts_with('/') ? program : SYSTEM_PROGRAMS "/" + program);
  launch.arguments.insert(launch.arguments.end(), arguments.begin(), arguments.end());
  return *processes_.emplace_back(std::make_unique<Process>(launch));
}

Process& SystemTest::start_ventilator(const Arguments& arguments, int input) {
  Arguments all{"--bind", address_, "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  Process& ventilator = start("ventile-ventilator", all, input);
  const std::string line = ventilator.line_with("serving tasks of");
  const std::size_t at = line.rfind(" on ");
  if (at != std::string::npos) address_ = line.substr(at + 4);
  return ventilator;
}

Process& SystemTest::start_worker(const Arguments& arguments) {
  Arguments all{"--connect", address_, "--plugin", SYSTEM_PLUGIN};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return start("ventile-worker", all);
}

Process& SystemTest::start_sink(const Arguments& arguments) {
  Arguments all{"--connect", address_, "--plugin", SYSTEM_PLUGIN};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return start("ventile-sink", all);
}

Process& SystemTest::process_of(pid_t pid) {
  const auto it = std::find_if(processes_.begin(), processes_.end(), [&](const auto& p) { return p->pid() == pid; });
  if (it == processes_.end()) throw std::runtime_error("process " + std::to_string(pid) + " is not the test's");
  return **it;
}

Summary exact_summary(Process& ventilator, int code) {
  EXPECT_EQ(ventilator.wait(), code);
  Summary summary = summary_in(ventilator.output());
  EXPECT_EQ(summary.settled, summary.submitted);
  EXPECT_EQ(summary.lost, 0U);
  EXPECT_EQ(summary.counted_twice, 0U);
  return summary;
}

}  // namespace ventile
