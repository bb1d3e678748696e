// Deliberate mistakes, with which the simulator shows that it would have found them.
//
// A decider that asks `if (planted("lease never expires"))` behaves wrongly there once that name is planted. Nothing
// but the simulator's own copy of the deciders, which is compiled with VENTILE_PLANTED_FAULTS, can be made to: for
// everybody else the answer is false when the program is compiled, and neither the branch nor the name is in it.
// tests/simulation/planted.hpp has the list of all names; each must be found within 5,000 seeds.
#pragma once

namespace ventile {

#ifdef VENTILE_PLANTED_FAULTS
bool planted(const char* name);  // Of this thread; defined by the simulator.
#else
consteval bool planted(const char*) { return false; }
#endif

}  // namespace ventile
