#include "cvxnn/cell_walk.hpp"

#include <vector>

namespace cvxnn {
namespace {
constexpr double kProgress = 1e-13;  // relative increase below which a walk ends
constexpr double kRounding = 1e-12;  // of the norm of what is projected
constexpr double kClimb = 1e-3;      // relative increase below which gradients have done their part
constexpr int kClimbs = 30, kTrials = 6;
constexpr int kLinearisations = 30;
constexpr double kLinearised = 1e-9;  // relative increase below which they end
constexpr double kShorter = 0.4;      // step over that of the trial before
}  // namespace

CellWalk::CellWalk(const DataMatrix<double>& x)
    : x_(x),
      rows_(x),
      lengths_(x.rowwise().stableNorm()),
      signs_(x.rows()),
      scores_(x.rows()),
      projection_(x.cols()) {
  for (Index i = 0; i < x.rows(); ++i) rows_.row(i).stableNormalize();
}

// Of the walls on which the unit vector u lies, the multiplier rho of the projection and v decide:
// beyond wall k the projection's target differs by -v_k x_k.
Index CellWalk::cross_walls(const Vector& v, const Vector& u) {
  Vector weights = v.cwiseProduct(lengths_);
  const std::vector<Index>& passive = projection_.passive();
  for (std::size_t j = 0; j < passive.size(); ++j) {
    weights[passive[j]] += projection_.multipliers()[j];
  }
  scores_.noalias() = rows_ * u;
  Index crossed = 0;
  for (Index k = 0; k < scores_.size(); ++k) {
    if (lengths_[k] == 0.0 || std::abs(scores_[k]) > kOnWall || !(weights[k] > 0.0)) continue;
    signs_[k] = -signs_[k];
    ++crossed;
  }
  return crossed;
}

// The first trial is the fixed point, a step without end.
bool CellWalk::step_up(const Vector& v, VectorRef u, double& value) {
  gradient_.noalias() = x_.transpose() * (scores_.array() > 0.0).select(v, 0.0).matrix();
  const double slope = gradient_.norm();
  if (!(slope > 0.0)) return false;
  gradient_ /= slope;
  double step = 1.0;
  for (int k = 0; k < kTrials; ++k) {
    trial_ = gradient_;
    if (k > 0) {
      trial_ = (u + step * gradient_).normalized();
      step *= kShorter;
    }
    trial_scores_.noalias() = x_ * trial_;
    const double there = v.dot(trial_scores_.cwiseMax(0.0));
    if (there > 0.0 && there > value * (1.0 + kClimb)) {
      u = trial_;
      scores_.swap(trial_scores_);
      value = there;
      return true;
    }
  }
  return false;
}

double CellWalk::climb(const Vector& v, VectorRef u) {
  u.stableNormalize();
  scores_.noalias() = x_ * u;
  double value = v.dot(scores_.cwiseMax(0.0));
  for (int k = 0; k < kClimbs && step_up(v, u, value); ++k) {
  }
  return value;
}

double CellWalk::ascend(const Vector& v, VectorRef u, VectorRef best) {
  climb(v, u);
  scores_.noalias() = rows_ * u;
  for (Index k = 0; k < scores_.size(); ++k) signs_[k] = scores_[k] > 0.0 ? 1.0 : -1.0;
  double value = 0.0;
  best.setZero();
  Vector kept = signs_;
  for (bool warm = false;; warm = true) {
    Vector q = x_.transpose() * (signs_.array() > 0.0).select(v, 0.0);
    const double pull = q.norm();
    projection_.project(rows_, signs_, q, warm);
    const double norm = q.norm();
    // A projection that is zero but for rounding has no direction.
    if (!(norm > value * (1.0 + kProgress) && norm > kRounding * pull)) break;
    value = norm;
    best = q / norm;
    kept = signs_;
    if (cross_walls(v, best) == 0) break;
  }
  signs_ = kept;
  if (value > 0.0) u = inside(rows_, signs_, best);
  return value;
}

// Sets v_ and returns the gain at u.
double CellWalk::linearise(ConstMatrixRef Theta, const Vector& u) {
  trial_scores_.noalias() = x_ * u;
  outputs_.noalias() = Theta.transpose() * trial_scores_.cwiseMax(0.0);
  const double gain = outputs_.norm();
  if (gain > 0.0) v_.noalias() = Theta * (outputs_ / gain);
  return gain;
}

double CellWalk::ascend_outputs(ConstMatrixRef Theta, VectorRef u, VectorRef best) {
  u.stableNormalize();
  best.setZero();
  Vector point = u, reached(u.size());
  double value = 0.0, gain = linearise(Theta, point);
  for (int k = 0; k < kLinearisations && gain > 0.0; ++k) {
    ascend(v_, point, reached);
    gain = linearise(Theta, reached);
    if (!(gain > value * (1.0 + kLinearised))) break;
    value = gain;
    best = reached;
    u = point;
  }
  return value;
}

double CellWalk::climb_outputs(ConstMatrixRef Theta, VectorRef u) {
  u.stableNormalize();
  Vector point = u;
  double value = linearise(Theta, point);
  for (int k = 0; k < kClimbs && value > 0.0; ++k) {
    climb(v_, point);
    const double gain = linearise(Theta, point);
    if (!(gain > value * (1.0 + kClimb))) break;
    value = gain;
    u = point;
  }
  return value;
}

}  // namespace cvxnn
