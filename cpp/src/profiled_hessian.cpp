#include "cvxnn/profiled_hessian.hpp"

namespace cvxnn {
namespace {
constexpr double kRidge = 1e-12;  // softmax does not see what all outputs share
}  // namespace

// A_0^T H A_0 output by output: its columns of output l are A_0^T diag(H_kl) A_0.
bool ProfiledHessian::set(const LossHessian& H, const Unpenalised& free) {
  H_ = &H;
  free_ = &free;
  const Index f = free.size(), c = H.diagonal.cols();
  if (f == 0) return true;
  Matrix system(f * c, f * c), curved(H.diagonal.rows(), c);
  for (Index l = 0; l < c; ++l) {
    curved.setZero();
    curved.col(l).setOnes();
    H.apply(curved);
    for (Index k = 0; k < c; ++k) {
      system.block(k * f, l * f, f, f).noalias() =
          free.columns().transpose() * (curved.col(k).asDiagonal() * free.columns());
    }
  }
  scale_ = system.diagonal().cwiseMax(0.0).cwiseSqrt();
  scale_ = (scale_.array() > 0.0).select(scale_.cwiseInverse(), 0.0);
  system = scale_.asDiagonal() * system * scale_.asDiagonal();
  system.diagonal().array() += kRidge;
  factor_.compute(system);
  return factor_.info() == Eigen::Success;
}

void ProfiledHessian::solve(ConstMatrixRef G, Matrix& C) const {
  C.noalias() = free_->columns().transpose() * G;
  auto entries = C.reshaped();
  entries.array() *= scale_.array();
  factor_.solveInPlace(entries);
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
