#include <ventile/metrics/metrics.hpp>

#include <algorithm>
#include <stdexcept>
#include <type_traits>

namespace ventile {
namespace {

bool is_name(std::string_view name, std::string_view others) {
  const auto may_begin = [&](char c) { return (c >= 'a' && c <= 'z') || others.find(c) != std::string_view::npos; };
  const auto may_follow = [&](char c) { return may_begin(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && may_begin(name.front()) && std::all_of(name.begin(), name.end(), may_follow);
}

void check_names(std::string_view name, const Labels& labels) {
  if (!is_name(name, "_:")) throw std::invalid_argument{"not the name of a metric: '" + std::string{name} + "'"};
  for (const auto& [label, value] : labels)
    if (!is_name(label, "_"))
      throw std::invalid_argument{"not the name of a label of " + std::string{name} + ": '" + label + "'"};
}

template <class Metric>
constexpr MetricKind kind_of = std::is_same_v<Metric, Counter> ? MetricKind::counter : MetricKind::gauge;

}  // namespace

void Counter::raise_to(std::uint64_t total) {
  std::uint64_t seen = value();
  while (seen < total && !value_.compare_exchange_weak(seen, total, std::memory_order_relaxed)) {
  }
}

template <class Metric>
Metric& Metrics::find_or_make(std::string_view name, std::string_view help, const Labels& labels) {
  check_names(name, labels);
  const std::lock_guard lock{mutex_};
  auto family = families_.find(name);
  if (family == families_.end())
    family = families_.emplace(std::string{name}, Family{std::string{help}, Series<Metric>{}}).first;
  auto* const series = std::get_if<Series<Metric>>(&family->second.series);
  if (series == nullptr) throw std::invalid_argument{std::string{name} + " is a metric of another kind"};
  if (family->second.help != help) throw std::invalid_argument{std::string{name} + " has another help"};
  return series->try_emplace(labels).first->second;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return find_or_make<Counter>(name, help, labels);
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  return find_or_make<Gauge>(name, help, labels);
}

std::vector<Sample> Metrics::samples() const {
  std::vector<Sample> samples;
  const std::lock_guard lock{mutex_};
  for (const auto& [name, family] : families_) {
    const auto append = [&, &name = name, &help = family.help]<class Metric>(const Series<Metric>& series) {
      for (const auto& [labels, metric] : series)
        samples.push_back({name, help, kind_of<Metric>, labels, static_cast<double>(metric.value())});
    };
    std::visit(append, family.series);
  }
  return samples;
}

}  // namespace ventile
