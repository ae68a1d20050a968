#include "cvxnn/newton.hpp"

#include <algorithm>
#include <cmath>

namespace cvxnn {
namespace {
// A direction need not be exact far from the solution, and near it few iterations reach it: the
// diagonal blocks are most of the system.
constexpr double kTolerance = 0.1;
constexpr Index kMaxIterations = 100;
constexpr double kLongestStep = 2.0;
}  // namespace

void NewtonMethod::reserve(const WorkingSet& working, Index n_samples) {
  system_.reserve(working);
  for (Vector* v : {&right_hand_side_, &direction_}) v->resize(working.coefs.size());
  for (Vector* v : {&alphas_, &squares_, &inner_, &lengths_}) v->resize(working.size());
  for (Matrix* m : {&fit_, &projected_}) m->resize(n_samples, 1);
}

double NewtonMethod::derivative(double t) const {
  double sum = slope_ + curvature_ * t;
  for (Index a = 0; a < n_blocks_; ++a) {
    const double square = squares_[a] + t * (2.0 * inner_[a] + t * lengths_[a]);
    if (square > 0.0) sum += alphas_[a] * (inner_[a] + t * lengths_[a]) / std::sqrt(square);
  }
  return sum;
}

// Whether the full step lowers the objective, as far as rounding shows.
bool NewtonMethod::full_step_descends() const {
  constexpr double kResolution = 1e-14;
  double change = slope_ + 0.5 * curvature_, penalty = 0.0;
  for (Index a = 0; a < n_blocks_; ++a) {
    const double norm = std::sqrt(squares_[a]);
    const double square = squares_[a] + 2.0 * inner_[a] + lengths_[a];
    change += alphas_[a] * (std::sqrt(std::max(0.0, square)) - norm);
    penalty += alphas_[a] * norm;
  }
  return change <= kResolution * penalty;
}

// The objective is convex along the direction: its minimiser, or 1 where that does nearly as well.
// The minimiser itself is often a kink, a block at zero, at which the next steps would be stuck.
double NewtonMethod::line_search() const {
  constexpr int kBisections = 30;
  constexpr double kNearly = 0.3;
  const double at_start = derivative(0.0);
  if (!(at_start < 0.0)) return 0.0;
  if (std::abs(derivative(1.0)) <= -kNearly * at_start && full_step_descends()) return 1.0;
  double low = 0.0, high = kLongestStep;
  if (derivative(high) <= 0.0) return high;
  for (int k = 0; k < kBisections; ++k) {
    const double middle = 0.5 * (low + high);
    (derivative(middle) < 0.0 ? low : high) = middle;
  }
  return low;
}

double NewtonMethod::step(const WorkingSet& working, Vector& W, Unpenalised& free,
                          QuadraticModel& model, Precision precision, Control& control) {
  system_.set(working, W, model.h);
  n_blocks_ = system_.n_blocks();
  if (n_blocks_ == 0) return 1.0;
  system_.gradient(model.R, precision, control, right_hand_side_);
  for (Index a = 0; a < n_blocks_; ++a) {
    alphas_[a] = working.alphas[system_.position(a)];
    system_.part(right_hand_side_, a) -= alphas_[a] * system_.unit(a);
  }
  system_.solve(right_hand_side_, kTolerance, kMaxIterations, free, precision, control, direction_,
                fit_);
  for (Index a = 0; a < n_blocks_; ++a) {
    const auto w = working.block(W, system_.position(a)).col(0);
    const auto y = system_.part(direction_, a);
    squares_[a] = w.squaredNorm();
    inner_[a] = w.dot(y);
    lengths_[a] = y.squaredNorm();
  }
  // The unpenalised block follows every step, so the curvature is that of the projected direction.
  slope_ = -model.R.col(0).dot(fit_.col(0));
  projected_.array() = model.h.array().sqrt() * fit_.array();
  free.project_weighted(projected_);
  curvature_ = projected_.squaredNorm();

  const double t = line_search();
  if (t == 0.0) return 0.0;
  for (Index a = 0; a < n_blocks_; ++a) {
    working.block(W, system_.position(a)).col(0) += t * system_.part(direction_, a);
  }
  model.F += t * fit_;
  model.R.array() -= t * model.h.array() * fit_.array();
  free.fit(model.F, model.R);
  return t;
}

}  // namespace cvxnn
