// All that a program needs to compute with Ventile: tasks, pools, futures, workers.
#pragma once

#include <ventile/compute/future.hpp>
#include <ventile/compute/pool.hpp>
#include <ventile/compute/task_error.hpp>
#include <ventile/compute/work.hpp>
#include <ventile/task/blocking.hpp>
#include <ventile/task/context.hpp>
#include <ventile/task/registry.hpp>
