// A dual point whose error is of second order, where that of the fit is of first.
#pragma once

#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"
#include "cvxnn/unpenalised.hpp"

namespace cvxnn {

// Near the optimum -grad L(F) violates the constraints ||A_b^T Theta|| <= limit_b of non-zero
// blocks by as much as the coefficients are off, and scaling it back costs all of the bound that
// much, although the objective is off by the square alone. The nearest point at which those
// constraints hold with equality, linearised, is off by the square too. In the metric of 1/h, the
// curvature of the conjugate:
//   Theta + h K lambda,  K_b = A_b U_b,  U_b = A_b^T Theta / ||A_b^T Theta||,
//   (K^T h K) lambda = limit - ||A^T Theta||,  with K projected off the unpenalised columns.
// For Frobenius' norm, where blocks are in no cones.
class DualCorrection {
 public:
  DualCorrection(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // Whether it costs no more than the steps that it may save.
  bool pays(Index n_blocks, Index n_coefs, Index n_outputs) const;

  // Overwrites Theta, which is orthogonal to the unpenalised columns before and after; leaves it
  // where rounding spoils the system. Allocates that.
  void apply(const std::vector<Index>& blocks, ConstVectorRef limits, ConstVectorRef h,
             Unpenalised& free, Control& control, Matrix& Theta);

 private:
  void set_units(const std::vector<Index>& blocks, ConstVectorRef limits, const Matrix& Theta,
                 Control& control);
  void add_gram(const std::vector<Index>& blocks, Index output, const Matrix& basis,
                Control& control);

  const Operator& op_;
  int n_threads_;
  std::vector<Index> starts_;
  Vector units_, column_;  // the U_b one after the other; one output of each
  Vector slack_, root_;    // limit - ||A^T Theta||, then lambda; h^(1/2)
  Matrix gram_, images_, overlap_;
};

}  // namespace cvxnn
