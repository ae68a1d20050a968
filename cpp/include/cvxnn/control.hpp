// What may interrupt a long call: signals, a time limit, a callback.
#pragma once

#include <chrono>
#include <functional>
#include <limits>

#include "cvxnn/types.hpp"

namespace cvxnn {

enum class Status { optimal, max_iter, time_limit, callback, stalled, numerical_error };

const char* name(Status status);

// What a callback sees at each evaluation of the duality gap.
struct Progress {
  Index iteration = 0;
  double primal = 0.0;
  double dual = 0.0;
  double gap = 0.0;
  Index n_active = 0;   // non-zero penalised blocks
  Index n_working = 0;  // penalised blocks in the working set
  double alpha = 0.0;
  double elapsed = 0.0;  // seconds since start()
};

// Unwinds a solve to its last consistent iterate, which is then certified and returned.
struct StopRequest {
  Status status;
};

class Control {
 public:
  std::function<void()> check_signals;               // may throw (KeyboardInterrupt)
  std::function<bool(const Progress&)> on_progress;  // true stops the solve
  double time_limit = std::numeric_limits<double>::infinity();

  void start();
  double elapsed() const;

  // Cheap enough for every block visit: asks for signals every 50 ms of steady time only.
  // Call outside parallel regions. Throws StopRequest at the time limit.
  void poll();

  // As poll(), for the part of a solve that must finish even when time is up (the certificate).
  void poll_signals();

  void report(const Progress& progress);

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_check_ = Clock::now();
};

}  // namespace cvxnn
