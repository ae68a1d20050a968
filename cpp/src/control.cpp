#include "cvxnn/control.hpp"

namespace cvxnn {
namespace {
constexpr std::chrono::milliseconds kSignalPeriod{50};
}

const char* name(Status status) {
  switch (status) {
    case Status::optimal:
      return "optimal";
    case Status::max_iter:
      return "max_iter";
    case Status::time_limit:
      return "time_limit";
    case Status::callback:
      return "callback";
    case Status::stalled:
      return "stalled";
    case Status::numerical_error:
      return "numerical_error";
  }
  return "unknown";
}

void Control::start() { start_ = Clock::now(); }

double Control::elapsed() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Control::poll_signals() {
  if (!check_signals) return;
  const Clock::time_point now = Clock::now();
  if (now < next_check_) return;
  next_check_ = now + kSignalPeriod;
  check_signals();
}

void Control::poll() {
  poll_signals();
  if (elapsed() > time_limit) throw StopRequest{Status::time_limit};
}

void Control::report(const Progress& progress) {
  if (on_progress && on_progress(progress)) throw StopRequest{Status::callback};
}

}  // namespace cvxnn
