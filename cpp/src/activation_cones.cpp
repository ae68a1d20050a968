#include "cvxnn/activation_cones.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "cvxnn/cone_projection.hpp"

namespace cvxnn {

template <class T>
ActivationCones::ActivationCones(const DataMap<T>& x, const PatternView& patterns,
                                 const DataMap<double>& gates)
    : rows_(x.rows(), x.cols()), patterns_(patterns), gates_(gates) {
  for (Index i = 0; i < x.rows(); ++i) {
    const Index row = static_cast<Index>(samples_.size());
    rows_.row(row) = x.row(i).template cast<double>();
    rows_.row(row).stableNormalize();
    if (!rows_.row(row).isZero(0.0)) samples_.push_back(i);
  }
  rows_.conservativeResize(static_cast<Index>(samples_.size()), x.cols());
}

void ActivationCones::signs(Index block, VectorRef out) const {
  const Index p = block % patterns_.n_patterns;
  for (Index k = 0; k < rows_.rows(); ++k) out[k] = patterns_.bit(samples_[k], p) ? 1.0 : -1.0;
}

bool ActivationCones::project(Index block, VectorRef a) const {
  if (rows_.rows() == 0) return true;
  Vector s(rows_.rows());
  signs(block, s);
  return ConeProjection(rows_.cols()).project(rows_, s, a);
}

// Damped Newton steps: the function is self-concordant.
Vector ActivationCones::centre(Index block) const {
  constexpr int kSteps = 40;
  constexpr double kNear = 0.25;    // Newton decrement at which a point counts as the centre
  constexpr double kInside = 0.95;  // share of the way to the nearest wall that a step may take
  const Index n = rows_.rows();
  const double weight = static_cast<double>(std::max<Index>(n, 1));
  Vector s(n);
  signs(block, s);
  Vector u = inside(rows_, s, gates_.col(block % patterns_.n_patterns));
  if (n == 0) return u;
  const DataMatrix<double> H = s.asDiagonal() * rows_;
  Vector margins = H * u;
  if (!(margins.minCoeff() > 0.0)) return u;
  for (int step = 0; step < kSteps; ++step) {
    const Vector inverse = margins.cwiseInverse();
    const DataMatrix<double> scaled = inverse.asDiagonal() * H;
    const Vector gradient = H.transpose() * inverse - weight * u;
    Matrix hessian = weight * Matrix::Identity(u.size(), u.size());
    hessian.selfadjointView<Eigen::Lower>().rankUpdate(scaled.transpose());
    const Vector move = hessian.selfadjointView<Eigen::Lower>().llt().solve(gradient);
    const double decrement = std::sqrt(std::max(0.0, gradient.dot(move)));
    const Vector slopes = H * move;
    const double steepest = (-slopes).cwiseQuotient(margins).maxCoeff();
    // The damped step 1 / (1 + decrement) always ascends; most of the way to the wall often does
    // more.
    double length = steepest > 0.0 ? std::min(1.0, kInside / steepest) : 1.0;
    const auto value = [&](double t) {
      return (margins + t * slopes).array().log().sum() -
             0.5 * weight * (u + t * move).squaredNorm();
    };
    if (!(value(length) > value(0.0))) length = 1.0 / (1.0 + decrement);
    u += length * move;
    margins = H * u;
    if (!(margins.minCoeff() > 0.0) || decrement < kNear) break;
  }
  return u;
}

template ActivationCones::ActivationCones(const DataMap<float>&, const PatternView&,
                                          const DataMap<double>&);
template ActivationCones::ActivationCones(const DataMap<double>&, const PatternView&,
                                          const DataMap<double>&);

}  // namespace cvxnn
