// A parallel loop whose results do not depend on the number of threads, as long as each task writes
// its own memory: tasks are cut by the problem, never by the team.
#pragma once

#include <omp.h>

#include <algorithm>
#include <exception>

#include "cvxnn/types.hpp"

namespace cvxnn {

// libgomp hangs in a child forked after the parent ran a parallel region. After this call such a
// child runs serially. Called once, when the extension module is loaded.
void install_fork_guard();
bool in_forked_child();
void note_parallel_region();

// OpenMP's own idea of the number of threads: honours OMP_NUM_THREADS and threadpoolctl.
int max_threads();

inline int team_size(Index n_tasks, int n_threads) {
  if (n_threads <= 1 || n_tasks <= 1 || omp_in_parallel() || in_forked_child()) return 1;
  return static_cast<int>(std::min<Index>(n_tasks, n_threads));
}

#ifdef CVXNN_SHARE_ALL_WORK  // builds that look for races: no thread takes all of a small loop
#define CVXNN_SCHEDULE static
constexpr double kSerialWork = 1.0;
#else
#define CVXNN_SCHEDULE dynamic
constexpr double kSerialWork = 2e6;
#endif

// Threads for so many multiply-adds: below the threshold, some 20 microseconds of work, waking and
// joining a team costs more than it saves, and far more on a busy machine.
inline int worthwhile_threads(double multiply_adds, int n_threads) {
  return multiply_adds < kSerialWork ? 1 : n_threads;
}

// Runs fn(task, thread) for task in [0, n_tasks). The first exception is rethrown after the join.
template <class Fn>
void parallel_for(Index n_tasks, int n_threads, Fn&& fn) {
  const int team = team_size(n_tasks, n_threads);
  if (team == 1) {
    for (Index task = 0; task < n_tasks; ++task) fn(task, 0);
    return;
  }
  note_parallel_region();
  std::exception_ptr error;
#pragma omp parallel for num_threads(team) schedule(CVXNN_SCHEDULE, 1)
  for (Index task = 0; task < n_tasks; ++task) {
    try {
      fn(task, omp_get_thread_num());
    } catch (...) {
#pragma omp critical(cvxnn_parallel_for_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace cvxnn
