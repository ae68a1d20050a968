#include "cvxnn/threads.hpp"

#include <pthread.h>

#include <atomic>

namespace cvxnn {
namespace {
std::atomic<bool> used_threads{false};
std::atomic<bool> forked_after_threads{false};

void after_fork_in_child() { forked_after_threads = used_threads.load(); }
}  // namespace

void install_fork_guard() { pthread_atfork(nullptr, nullptr, after_fork_in_child); }

bool in_forked_child() { return forked_after_threads.load(std::memory_order_relaxed); }

void note_parallel_region() { used_threads.store(true, std::memory_order_relaxed); }

int max_threads() { return omp_get_max_threads(); }

}  // namespace cvxnn
