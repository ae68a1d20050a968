#include "cvxnn/profiled_hessian.hpp"

#include "cvxnn/cholesky.hpp"

namespace cvxnn {
namespace {
constexpr double kRidge = 1e-12;  // softmax does not see what all outputs share
}  // namespace

// The lower triangle of A_0^T H A_0, output by output: A_0^T diag(H_kl) A_0.
bool ProfiledHessian::set(const LossHessian& H, const Unpenalised& free) {
  H_ = &H;
  free_ = &free;
  const Index f = free.size(), c = H.diagonal.cols();
  if (f == 0) return true;
  factor_.setZero(f * c, f * c);
  Matrix curved(H.diagonal.rows(), c);
  for (Index l = 0; l < c; ++l) {
    curved.setZero();
    curved.col(l).setOnes();
    H.apply(curved);
    for (Index k = l; k < c; ++k) {
      if (curved.col(k).isZero(0.0)) continue;  // outputs that do not meet
      factor_.block(k * f, l * f, f, f).noalias() =
          free.columns().transpose() * (curved.col(k).asDiagonal() * free.columns());
    }
  }
  scale_ = factor_.diagonal().cwiseMax(0.0).cwiseSqrt();
  scale_ = (scale_.array() > 0.0).select(scale_.cwiseInverse(), 0.0);
  factor_ = scale_.asDiagonal() * factor_ * scale_.asDiagonal();
  factor_.diagonal().array() += kRidge;
  return factor_in_place(factor_);
}

void ProfiledHessian::solve(ConstMatrixRef G, Matrix& C) const {
  C.noalias() = free_->columns().transpose() * G;
  Eigen::Map<Vector> entries(C.data(), C.size());
  entries.array() *= scale_.array();
  solve_factored(factor_, MatrixMap(C.data(), C.size(), 1));
  entries.array() *= scale_.array();
}

void ProfiledHessian::apply(MatrixRef V) {
  H_->apply(V);
  if (free_->size() == 0) return;
  solve(V, coefs_);
  image_.noalias() = free_->columns() * coefs_;
  H_->apply(image_);
  V -= image_;
}

}  // namespace cvxnn
