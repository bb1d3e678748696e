// Kept by hand: `ventile-simulate --planted all` prints its lines.
#include "tests/simulation/planted.hpp"

namespace ventile::simulation {
namespace {

constexpr PlantedFault faults[] = {
    {"an adopted task stays in the queue", Setting::fabric, 12},
    {"a late result leaves its task in the queue", Setting::fabric, 5},
    {"a late result leaves its task to be retried", Setting::fabric, 50},
    {"a copy's other holder is forgotten", Setting::fabric, 56},
    {"what is lost is tried again", Setting::fabric, 50},
    {"a lease is sent before the disk knows", Setting::fabric, 1},
    {"a retry is never due", Setting::fabric, 1},
    {"a split loses the remainder", Setting::fabric, 1},
    {"a task is sent before it is on the disk", Setting::fabric, 3},
    {"a resumed job runs what the sink has", Setting::fabric, 40},
    {"END is not said again", Setting::fabric, 595},
    {"the failures that a sink has are forgotten", Setting::fabric, 6},
    {"lost results go unnoticed", Setting::fabric, 88},
    {"a proposal is made once only", Setting::fabric, 90},
    {"END comes before the input has ended", Setting::fabric, 10},
    {"a job is over before the disk knows", Setting::fabric, 1},
    {"verdicts are lost", Setting::fabric, 2},
    {"verdicts of duplicates are lost", Setting::fabric, 43},
    {"what is stored ahead of the input is forgotten", Setting::fabric, 3048},
    {"tries are not counted", Setting::fabric, 1},
    {"a try is counted twice", Setting::fabric, 1},
    {"a lease is renewed by being alive", Setting::fabric, 64},
    {"the sink's credit is not counted", Setting::fabric, 7},
    {"the ordered window is not kept", Setting::fabric, 29},
    {"a suspect gets company", Setting::fabric, 211},
    {"the worker's credit is not counted", Setting::fabric, 2},
    {"a batch is blamed for its poison", Setting::fabric, 7},
    {"crashes are not counted", Setting::fabric, 5},
    {"a lease never expires", Setting::fabric, 64},
    {"a route that is said again is ignored", Setting::fabric, 43},
    {"credit is not given again", Setting::fabric, 2},
    {"a task that was stopped has failed", Setting::fabric, 10},
    {"a hand-back forgets its last range", Setting::fabric, 163},
    {"a lost connection resends nothing", Setting::fabric, 30},
    {"OPENED says what is not on the disk", Setting::fabric, 10},
    {"results are not deduplicated", Setting::fabric, 5},
    {"part of a fold is taken for all", Setting::fabric, 524},
    {"a proposal overrules a result", Setting::fabric, 90},
    {"results are acknowledged before the sync", Setting::fabric, 1},
    {"the disk forgets failures", Setting::fabric, 6},
    {"kept payloads are not written", Setting::fabric, 13},
    {"one sync acknowledges all", Setting::fabric, 1},
    {"replay counts a snapshot on top", Setting::fabric, 6},
    {"replay forgets how much was written", Setting::fabric, 25},
    {"CLOSED is said once only", Setting::fabric, 595},
    {"CLOSED comes before the sync", Setting::fabric, 1},
    {"a client is told of a job that the disk does not know", Setting::clients, 1},
    {"a snapshot forgets what has not run", Setting::clients, 39},
    {"a client forgets what it said it has", Setting::clients, 23},
    {"a client does not say what it has", Setting::clients, 1},
    {"a client offers from where it was", Setting::clients, 1},
    {"COMPLETE is not said", Setting::clients, 1},
    {"a client does not deduplicate", Setting::clients, 4},
    {"a client settles what it has not offered", Setting::clients, 57},
    {"a stream's credit is not given again", Setting::pipeline, 1},
    {"a gap is not noticed", Setting::pipeline, 1},
    {"a gap is given up at once", Setting::pipeline, 1},
    {"a gap is sent again once only", Setting::pipeline, 1},
    {"a gap's rest is forgotten", Setting::pipeline, 1},
};

}  // namespace

std::span<const PlantedFault> planted_faults() { return faults; }

}  // namespace ventile::simulation
