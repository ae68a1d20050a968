// The quadratic model of the loss that block updates and Newton steps minimise.
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// At F0: L(F) ~ L(F0) - <Theta0, F - F0> + 1/2 sum_i h_i ||F_i - F0_i||^2. For the squared loss it
// is the loss. R = Theta0 - diag(h) (F - F0) is its dual point at F.
struct QuadraticModel {
  Matrix F, R;
  Matrix F0, Theta0;
  Vector h;

  void resize(Index n_samples, Index n_outputs);
  double value() const;  // less L(F0)
};

}  // namespace cvxnn
