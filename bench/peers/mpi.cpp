// Open MPI: a master and two workers, 64 tasks in flight. Start it with mpirun -np 3.
#include "peer.hpp"

#include <mpi.h>

namespace {

constexpr std::uint64_t stop = UINT64_MAX;
constexpr std::uint64_t in_flight = 64;

struct Message {
  std::uint64_t number;
  std::uint64_t rounds;
};

void send(int to, const Message& message) { MPI_Send(&message, sizeof message, MPI_BYTE, to, 0, MPI_COMM_WORLD); }
Message receive(int from, int& source) {
  Message message{};
  MPI_Status status;
  MPI_Recv(&message, sizeof message, MPI_BYTE, from, 0, MPI_COMM_WORLD, &status);
  source = status.MPI_SOURCE;
  return message;
}

void work() {
  int from = 0;
  for (Message message = receive(0, from); message.number != stop; message = receive(0, from)) {
    message.number = peer::task(message.number, message.rounds);
    send(0, message);
  }
}

std::uint64_t all(std::uint64_t tasks, std::uint64_t rounds, int workers) {
  std::uint64_t sent = 0;
  std::uint64_t sum = 0;
  for (; sent < tasks && sent < in_flight; ++sent) send(1 + static_cast<int>(sent) % workers, {sent, rounds});
  for (std::uint64_t received = 0; received < tasks; ++received) {
    int from = 0;
    sum += receive(MPI_ANY_SOURCE, from).number;
    if (sent < tasks) send(from, {sent++, rounds});
  }
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int code = 0;
  if (rank != 0) {
    work();
  } else {
    code = peer::run(argc, argv,
                     {[&](std::uint64_t tasks, std::uint64_t rounds) { return all(tasks, rounds, size - 1); },
                      [&] { all(1, 0, size - 1); }});
    for (int worker = 1; worker < size; ++worker) send(worker, {stop, 0});
  }
  MPI_Finalize();
  return code;
}
