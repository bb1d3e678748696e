// gearmand at GEARMAN_PORT: a client, and two workers in this process.
#include "peer.hpp"

#include <thread>
#include <vector>

#include <libgearman/gearman.h>

namespace {

constexpr std::uint64_t batch = 1000;  // Tasks that the client has open.

struct Message {
  std::uint64_t number;
  std::uint64_t rounds;
};

int port() {
  const char* const text = std::getenv("GEARMAN_PORT");
  return text == nullptr ? 4730 : std::atoi(text);
}

gearman_return_t answer(gearman_job_st* job, void*) {
  Message message{};
  std::memcpy(&message, gearman_job_workload(job), sizeof message);
  const std::uint64_t result = peer::task(message.number, message.rounds);
  gearman_job_send_data(job, &result, sizeof result);
  return GEARMAN_SUCCESS;
}

std::uint64_t sum = 0;

gearman_return_t on_data(gearman_task_st* task) {
  std::uint64_t result = 0;
  std::memcpy(&result, gearman_task_data(task), sizeof result);
  sum += result;
  return GEARMAN_SUCCESS;
}

void work() {
  gearman_worker_st* const worker = gearman_worker_create(nullptr);
  gearman_worker_add_server(worker, "127.0.0.1", static_cast<in_port_t>(port()));
  gearman_worker_define_function(worker, "task", 4, gearman_function_create(answer), 0, nullptr);
  while (gearman_worker_work(worker) == GEARMAN_SUCCESS) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 0; i < 2; ++i) std::thread{work}.detach();
  gearman_client_st* const client = gearman_client_create(nullptr);
  gearman_client_add_server(client, "127.0.0.1", static_cast<in_port_t>(port()));
  gearman_client_set_data_fn(client, on_data);
  const auto all = [&](std::uint64_t tasks, std::uint64_t rounds) {
    sum = 0;
    for (std::uint64_t first = 0; first < tasks; first += batch) {
      const std::uint64_t end = std::min(first + batch, tasks);
      std::vector<Message> messages(end - first);
      for (std::uint64_t i = first; i < end; ++i) {
        messages[i - first] = {i, rounds};
        gearman_return_t error{};
        gearman_client_add_task(client, nullptr, nullptr, "task", nullptr, &messages[i - first], sizeof(Message),
                                &error);
        if (gearman_failed(error)) peer::fail(gearman_strerror(error));
      }
      if (gearman_failed(gearman_client_run_tasks(client))) peer::fail(gearman_client_error(client));
      gearman_client_task_free_all(client);
    }
    return sum;
  };
  const int code = peer::run(argc, argv, {all, [&] { all(1, 0); }});
  std::fflush(nullptr);
  std::_Exit(code);
}
