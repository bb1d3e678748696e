#include <ventile/queue/ventilator.hpp>

#include <gtest/gtest.h>

#include <ventile/net/context.hpp>

namespace ventile {
namespace {

// A signal in the first moment once asked for the end of a job that was not there yet.
TEST(Ventilator, may_be_told_to_drain_before_it_runs) {
  Context context;
  VentilatorOptions options;
  options.bind = {Transport::inproc, "early", 0};
  options.job.index.enabled = true;
  options.index_count = 10;
  Ventilator ventilator{context, options, nullptr, {}};
  ventilator.drain();
  ventilator.leave();
  const Result<VentilatorReport> report = ventilator.run();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->status.audit.submitted, 10U);
}

}  // namespace
}  // namespace ventile
