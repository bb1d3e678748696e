#include <nodes/metrics_file.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <ventile/metrics/exposition.hpp>

namespace ventile {
namespace {

constexpr Duration interval = std::chrono::seconds{1};

// 0, or what went wrong, as in errno.
int write_whole(const std::string& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return errno;
  int error = std::fwrite(text.data(), 1, text.size(), file) == text.size() ? 0 : errno;
  if (std::fclose(file) != 0 && error == 0) error = errno;
  return error;
}

int replace_file(const std::string& path, const std::string& text) {
  const std::string beside = path + ".tmp";
  const int error = write_whole(beside, text);
  if (error != 0) return error;
  return std::rename(beside.c_str(), path.c_str()) == 0 ? 0 : errno;
}

}  // namespace

MetricsFile::MetricsFile(std::string path, Log log) : path_(std::move(path)), log_(std::move(log)) {}

void MetricsFile::refresh(const Metrics& metrics, TimePoint now) {
  if (now < next_) return;
  next_ = now + interval;
  write(metrics);
}

void MetricsFile::write(const Metrics& metrics) {
  const int error = replace_file(path_, exposition(metrics));
  if (error == 0 || std::exchange(failure_said_, true)) return;
  log_.error("cannot write the metrics to " + path_ + ": " + std::strerror(error));
}

}  // namespace ventile
