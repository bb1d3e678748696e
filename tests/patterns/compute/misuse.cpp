// What must not compile, one CASE at a time, and what the compiler must say: see misuse.py.
#include <string>
#include <vector>

#include <ventile/ventile.hpp>

struct Opaque {};

void misuse(ventile::Pool& pool, ventile::TaskRegistry& tasks) {
  const auto area = tasks.add("area", [](double width, int count) { return width * count; });
#if CASE == 0
  (void)pool.submit(area, 1, 2);
  (void)pool.map(area, std::vector<double>{1, 2}, 3);
#elif CASE == 1  // says: takes another number of arguments
  (void)pool.submit(area, 1.0);
#elif CASE == 2  // says: an argument does not convert to the task's parameter
  (void)pool.submit(area, "wide", 2);
#elif CASE == 3  // says: neither a value for the task's parameter nor a range of such values
  (void)pool.map(area, std::vector<std::string>{"a"}, 2);
#elif CASE == 4  // says: map needs at least one range
  (void)pool.map(area, 1.0, 2);
#elif CASE == 5  // says: cannot unpack a parameter of this task
  tasks.add("opaque", [](const Opaque&) { return 1; });
#elif CASE == 6  // says: for_index takes a task with one parameter, which is a number
  const auto text = tasks.add("text", [](const std::string& t) { return t.size(); });
  pool.for_index(text, 0, 10);
#elif CASE == 7  // says: a reduction combines two results into one
  (void)pool.map_reduce(
      area, [](double) { return 1.0; }, std::vector<double>{1}, 2);
#elif CASE == 8  // says: then() takes a function of the task's result
  (void)pool.submit(area, 1.0, 2).then([](const std::string&) {});
#endif
}
