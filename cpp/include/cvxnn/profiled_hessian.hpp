// The Hessian of a loss where an unpenalised block follows every step.
#pragma once

#include "cvxnn/loss_hessian.hpp"
#include "cvxnn/types.hpp"
#include "cvxnn/unpenalised.hpp"

namespace cvxnn {

// What is left of H once the unpenalised block A_0 follows every step:
//   H - H A_0 (A_0^T H A_0)^-1 A_0^T H.
class ProfiledHessian {
 public:
  // More unknowns of A_0 than this are too many for a dense factor.
  static constexpr Index kMostFree = 1024;

  // Keeps references. False where the factor fails.
  bool set(const LossHessian& H, const Unpenalised& free);

  const LossHessian& hessian() const { return *H_; }

  void apply(MatrixRef V);

  // C = (A_0^T H A_0)^-1 A_0^T G: the step of A_0, for a gradient -G in samples.
  void solve(ConstMatrixRef G, Matrix& C) const;

 private:
  const LossHessian* H_ = nullptr;
  const Unpenalised* free_ = nullptr;
  Vector scale_;  // 1 / diag^(1/2): units of columns do not matter
  Matrix factor_;
  Matrix coefs_, image_;
};

}  // namespace cvxnn
