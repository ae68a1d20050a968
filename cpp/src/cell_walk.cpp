#include "cvxnn/cell_walk.hpp"

#include <vector>

namespace cvxnn {
namespace {
constexpr double kProgress = 1e-13;  // relative increase below which a walk ends
constexpr double kRounding = 1e-12;  // of the norm of what is projected
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

double CellWalk::ascend(const Vector& v, VectorRef u, VectorRef best) {
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

}  // namespace cvxnn
