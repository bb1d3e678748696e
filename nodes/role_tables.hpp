// The table of each role's options: what a user can say, in the order of the help.
#pragma once

#include <nodes/config.hpp>
#include <nodes/option_table.hpp>
#include <nodes/options.hpp>

namespace ventile {

// The table stores into `options`, which must outlive it.
OptionTable table_of(VentilatorCommand& options);
OptionTable table_of(WorkerCommand& options);
OptionTable table_of(SinkCommand& options);
OptionTable table_of(BrokerCommand& options);
OptionTable table_of(UpCommand& options);
OptionTable table_of(AskCommand& options);
OptionTable table_of(HealthCommand& options);
OptionTable table_of(BenchCommand& options);
OptionTable table_of(MapCommand& options);

// What a configuration file may hold: each role's options under its name, all of them at the top.
KnownKeys known_keys();

}  // namespace ventile
