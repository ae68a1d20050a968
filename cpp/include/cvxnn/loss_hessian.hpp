// The Hessian of a loss whose outputs are coupled, or curved each in its own way.
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// Of sample i: H_i = diag(diagonal_i) - v_i v_i^T, n_outputs x n_outputs, positive semi-definite.
struct LossHessian {
  Matrix diagonal;  // n_samples x n_outputs
  Matrix vectors;   // the same, or empty where outputs do not meet

  // D_i <- H_i D_i.
  void apply(MatrixRef D) const;

  // H_i,kk.
  Matrix main_diagonal() const;
};

}  // namespace cvxnn
