#include "cvxnn/line_search.hpp"

#include <algorithm>
#include <cmath>

namespace cvxnn {

void LineSearch::reserve(Index n_blocks, Index n_samples, Index n_outputs) {
  for (Vector* v : {&levels_, &squares_, &inner_, &lengths_}) v->resize(n_blocks);
  projected_.resize(n_samples, n_outputs);
}

void LineSearch::clear() {
  n_blocks_ = 0;
  ridge_slope_ = ridge_curvature_ = 0.0;
}

void LineSearch::add(const BlockPenalty& penalty, ConstVectorRef W, ConstVectorRef Y) {
  levels_[n_blocks_] = penalty.level;
  squares_[n_blocks_] = W.squaredNorm();
  inner_[n_blocks_] = W.dot(Y);
  lengths_[n_blocks_] = Y.squaredNorm();
  ridge_slope_ += penalty.ridge * inner_[n_blocks_];
  ridge_curvature_ += penalty.ridge * lengths_[n_blocks_++];
}

void LineSearch::set_fit(const Matrix& fit, const QuadraticModel& model) {
  slope_ = ridge_slope_ - model.R.cwiseProduct(fit).sum();
  curvature_ = ridge_curvature_ + (model.h.asDiagonal() * fit.cwiseAbs2()).sum();
}

void LineSearch::set_fit(const Matrix& fit, const QuadraticModel& model, Unpenalised& free) {
  slope_ = ridge_slope_ - model.R.cwiseProduct(fit).sum();
  projected_.noalias() = model.h.cwiseSqrt().asDiagonal() * fit;
  free.project_weighted(projected_);
  curvature_ = ridge_curvature_ + projected_.squaredNorm();
}

void LineSearch::set_fit(double slope, double curvature) {
  slope_ = ridge_slope_ + slope;
  curvature_ = ridge_curvature_ + curvature;
}

double LineSearch::derivative(double t) const {
  double sum = slope_ + curvature_ * t;
  for (Index a = 0; a < n_blocks_; ++a) {
    const double square = squares_[a] + t * (2.0 * inner_[a] + t * lengths_[a]);
    if (square > 0.0) {
      sum += levels_[a] * (inner_[a] + t * lengths_[a]) / std::sqrt(square);
    } else if (squares_[a] == 0.0) {
      sum += levels_[a] * std::sqrt(lengths_[a]);
    }
  }
  return sum;
}

double LineSearch::change(double t) const {
  const double slope = slope_ - ridge_slope_, curvature = curvature_ - ridge_curvature_;
  return t * (slope + 0.5 * t * curvature) + penalty_change(t);
}

double LineSearch::penalty_change(double t) const {
  double sum = t * (ridge_slope_ + 0.5 * t * ridge_curvature_);
  for (Index a = 0; a < n_blocks_; ++a) {
    const double square = squares_[a] + t * (2.0 * inner_[a] + t * lengths_[a]);
    sum += levels_[a] * (std::sqrt(std::max(0.0, square)) - std::sqrt(squares_[a]));
  }
  return sum;
}

// As far as rounding shows.
bool LineSearch::full_step_descends() const {
  constexpr double kResolution = 1e-14;
  double penalty = 0.0;
  for (Index a = 0; a < n_blocks_; ++a) penalty += levels_[a] * std::sqrt(squares_[a]);
  return change(1.0) <= kResolution * penalty;
}

double LineSearch::length(double longest) const {
  constexpr int kBisections = 30;
  constexpr double kNearly = 0.3;
  const double at_start = derivative(0.0);
  if (!(at_start < 0.0)) return 0.0;
  if (std::abs(derivative(1.0)) <= -kNearly * at_start && full_step_descends()) return 1.0;
  double low = 0.0, high = longest;
  if (derivative(high) <= 0.0) return high;
  for (int k = 0; k < kBisections; ++k) {
    const double middle = 0.5 * (low + high);
    (derivative(middle) < 0.0 ? low : high) = middle;
  }
  return low;
}

}  // namespace cvxnn
