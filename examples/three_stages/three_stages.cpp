// Three stages in a row: how many letters has it, to write 1 … 1000 out in words?
//
//    source == numbers ==> [spell] == words ==> [squeeze] == letters ==> [measure] == lengths ==> sink
//
// All of it is in this process, over inproc. Over ipc or tcp (`three_stages tcp`) each stage could as well be a process
// of its own, several of them at each place, and nothing else would change: whatever one takes along when it is killed
// the source sends again, and every number is counted once.
#include <cctype>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <ventile/pipeline/source.hpp>
#include <ventile/pipeline/stage.hpp>
#include <ventile/queue/sink.hpp>
#include <ventile/queue/ventilator.hpp>

using namespace ventile;

// --- What the stages do ---

static std::string spell(std::int64_t number) {
  static const std::vector<std::string> small{
      "",    "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
      "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  static const std::vector<std::string> tens{"",      "",      "twenty",  "thirty", "forty",
                                             "fifty", "sixty", "seventy", "eighty", "ninety"};
  if (number == 1000) return "one thousand";
  if (number >= 100) {
    const std::string rest = spell(number % 100);
    return small.at(number / 100) + " hundred" + (rest.empty() ? rest : " and " + rest);
  }
  if (number < 20) return small.at(number);
  return tens.at(number / 10) + (number % 10 == 0 ? "" : "-" + small.at(number % 10));
}

static std::string squeeze(std::string_view words) {
  std::string letters;
  for (const char c : words)
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) letters += c;
  return letters;
}

static std::int64_t measure(std::string_view letters) { return static_cast<std::int64_t>(letters.size()); }

// --- What becomes of the results ---

class Sum : public Output {
public:
  explicit Sum(std::int64_t& total) : total_(total) {}

  Status write(const ResultItem& item) override {
    const Result<std::int64_t> length = unpack_from<std::int64_t>(item.payload);
    if (!length) return length.error();
    total_ += *length;
    return {};
  }
  Status write_fold(Bytes, std::uint64_t) override { return {}; }
  Status flush() override { return {}; }
  Status close() override { return {}; }

private:
  std::int64_t& total_;
};

// --- The topology ---

static Endpoint place(const std::string& transport, const std::string& name) {
  if (transport == "tcp") return {Transport::tcp, "127.0.0.1", 0};  // Any port.
  if (transport == "ipc") return {Transport::ipc, "./three_stages-" + name, 0};
  return {Transport::inproc, name, 0};
}

template <class T>
static T value_of(Result<T> result) {
  if (result) return std::move(*result);
  std::cerr << result.error().message << '\n';
  std::exit(1);
}

int main(int argc, char** argv) {
  const std::string transport = argc > 1 ? argv[1] : "inproc";
  TaskRegistry tasks;
  tasks.add("spell", spell);
  tasks.add("squeeze", squeeze);
  tasks.add("measure", measure);
  Context context;

  VentilatorOptions job;
  job.bind = place(transport, "dispatcher");
  job.job.function = "spell";
  job.job.index = {true, 1, 1};  // From 1 on, one by one;
  job.index_count = 1000;        // so many of them.
  Ventilator ventilator{context, job, nullptr, {}};
  const Endpoint dispatcher = value_of(ventilator.bind());

  SourceOptions stream;
  stream.connect = dispatcher;
  stream.bind = place(transport, "stream");
  stream.functions = {"spell"};
  stream.once = true;
  Source source{context, stream};
  const Endpoint numbers = value_of(source.bind());

  // The last stage first: each binds where the one before it pushes.
  Stage third{context, tasks, {.bind = place(transport, "letters"), .function = "measure"}};
  const Endpoint letters = value_of(third.bind());
  Stage second{context, tasks, {.bind = place(transport, "words"), .push = letters, .function = "squeeze"}};
  const Endpoint words = value_of(second.bind());
  Stage first{context, tasks, {.pull = numbers, .push = words, .slots = 2}};

  std::int64_t total = 0;
  Sink sink{context, tasks, {.connect = dispatcher}, [&](std::uint64_t) -> Result<std::unique_ptr<Output>> {
              return {std::make_unique<Sum>(total)};
            }};

  std::vector<std::jthread> threads;
  for (Stage* stage : {&first, &second, &third}) threads.emplace_back([stage] { value_of(stage->run()); });
  threads.emplace_back([&] { value_of(source.run()); });
  threads.emplace_back([&] { value_of(sink.run()); });
  const VentilatorReport report = value_of(ventilator.run());
  for (Stage* stage : {&first, &second, &third}) stage->drain();
  threads.clear();

  std::cout << report.closed.outcomes[0] << " numbers, " << total << " letters\n";
  return report.ending == VentilatorEnding::done ? 0 : 1;
}
