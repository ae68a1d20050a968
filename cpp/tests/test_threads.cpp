#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

#include "cvxnn/threads.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

TEST_CASE("parallel_for runs every task once, by a thread of its team") {
  for (const int n_threads : {-1, 0, 1, 2, 3, 8}) {
    for (const Index n_tasks : {0, 1, 2, 5, 100}) {
      CAPTURE(n_threads);
      CAPTURE(n_tasks);
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(n_tasks));
      std::atomic<int> strangers{0};
      const int team = team_size(n_tasks, n_threads);
      parallel_for(n_tasks, n_threads, [&](Index task, int thread) {
        ++runs[static_cast<std::size_t>(task)];
        if (thread < 0 || thread >= team) ++strangers;
      });
      CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
      CHECK(strangers == 0);
    }
  }
}

TEST_CASE("team_size is bounded by tasks and threads") {
  CHECK(team_size(10, 3) == 3);
  CHECK(team_size(2, 3) == 2);
  CHECK(team_size(0, 3) == 1);
  CHECK(team_size(10, 1) == 1);
  CHECK(team_size(10, 0) == 1);
  CHECK(max_threads() >= 1);
}

TEST_CASE("small products are not worth a team") {
  CHECK(worthwhile_threads(0.5 * kSerialWork, 8) == 1);
  CHECK(worthwhile_threads(1e9, 8) == 8);
  CHECK(worthwhile_threads(1e9, 1) == 1);
}

TEST_CASE("an exception of a task reaches the caller, after the other tasks") {
  for (const int n_threads : {2, 3}) {
    std::atomic<int> runs{0};
    const auto task = [&](Index k, int) {
      ++runs;
      if (k == 7) throw std::runtime_error("task 7");
    };
    CHECK_THROWS_WITH_AS(parallel_for(20, n_threads, task), "task 7", std::runtime_error);
    CHECK(runs == 20);
  }
  CHECK_THROWS_AS(parallel_for(3, 1, [](Index, int) { throw std::logic_error("serial"); }),
                  std::logic_error);
}

TEST_CASE("a nested loop runs serially on its own thread") {
  std::atomic<int> inner_runs{0}, others{0};
  parallel_for(4, 2, [&](Index, int) {
    const int outer = omp_get_thread_num();
    parallel_for(5, 2, [&](Index, int thread) {
      ++inner_runs;
      if (thread != 0 || omp_get_thread_num() != outer || omp_get_level() != 1) ++others;
    });
  });
  CHECK(inner_runs == 20);
  CHECK(others == 0);
}

// 0: serial, as it must be; the alarm ends a child that hangs in a dead team.
int run_in_child() {
  alarm(20);
  Index sum = 0;
  parallel_for(10, 2, [&](Index task, int thread) { sum += thread == 0 ? task : 1000; });
  return in_forked_child() && sum == 45 ? 0 : 1;
}

TEST_CASE("a child forked after a parallel region runs serially") {
  install_fork_guard();
  std::atomic<int> runs{0};
  parallel_for(4, 2, [&](Index, int) { ++runs; });
  REQUIRE(runs == 4);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(run_in_child());
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK_FALSE(in_forked_child());
}

}  // namespace
}  // namespace cvxnn
