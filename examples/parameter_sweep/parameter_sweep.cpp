// A sweep over two parameters, with a row of CSV for each pair: how an epidemic goes, by how fast people infect each
// other and how fast they recover (the SIR model of Kermack and McKendrick).
//
// usage: parameter_sweep FILE.csv [ADDRESS]
#include <cmath>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <tuple>
#include <vector>

#include <ventile/ventile.hpp>

namespace {

// Described once, it travels.
struct Epidemic {
  double peak = 0;      // The largest part of the people that is ill at once.
  double peak_day = 0;  // When that is.
  double total = 0;     // The part that was ill in the end.

  static auto fields(auto& m) { return std::tie(m.peak, m.peak_day, m.total); }
};

Epidemic simulate(double infections_per_day, double recoveries_per_day) {
  constexpr double step = 0.01;  // Days.
  double susceptible = 0.9999;
  double ill = 1 - susceptible;
  Epidemic epidemic;
  for (int i = 0; i < 100'000 && ill > 1e-9; ++i) {
    const double infected = infections_per_day * susceptible * ill * step;
    susceptible -= infected;
    ill += infected - recoveries_per_day * ill * step;
    if (ill <= epidemic.peak) continue;
    epidemic.peak = ill;
    epidemic.peak_day = i * step;
  }
  epidemic.total = 1 - susceptible;
  return epidemic;
}

// Where nobody is infected any more the rest is known: r = total satisfies 1 - r = exp(-R0 r).
bool is_right(double r0, const Epidemic& epidemic) {
  if (r0 <= 1) return epidemic.total < 0.05;
  return std::abs(1 - epidemic.total - std::exp(-r0 * epidemic.total)) < 0.01;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw std::invalid_argument("usage: parameter_sweep FILE.csv [ADDRESS]");
  ventile::TaskRegistry tasks;
  const auto simulate_task = tasks.add("simulate", simulate);
  ventile::Pool pool = argc > 2 ? ventile::Pool{tasks, argv[2]} : ventile::Pool{tasks};

  // Two ranges of the same length, walked side by side.
  std::vector<double> infections;
  std::vector<double> recoveries;
  for (int i = 1; i <= 20; ++i)
    for (int j = 1; j <= 20; ++j) {
      infections.push_back(0.05 * i);
      recoveries.push_back(0.02 * j);
    }

  std::ofstream csv{argv[1]};
  csv << "infections_per_day,recoveries_per_day,peak,peak_day,total\n";
  std::size_t rows = 0;
  std::size_t wrong = 0;
  for (const Epidemic& epidemic : pool.map(simulate_task, infections, recoveries)) {
    csv << infections[rows] << ',' << recoveries[rows] << ',' << epidemic.peak << ',' << epidemic.peak_day << ','
        << epidemic.total << '\n';
    const double r0 = infections[rows] / recoveries[rows];
    if ((r0 < 0.8 || r0 > 1.3) && !is_right(r0, epidemic)) ++wrong;
    ++rows;
  }
  if (!csv.flush()) throw std::runtime_error(std::string{"cannot write "} + argv[1]);
  std::cout << argv[1] << ": " << rows << " rows, " << wrong << " wrong\n";
  return wrong == 0 ? 0 : 1;
} catch (const std::exception& exception) {
  std::cerr << "parameter_sweep: " << exception.what() << '\n';
  return 1;
}
