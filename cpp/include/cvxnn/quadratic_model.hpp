// The quadratic model of the loss that block updates and Newton steps minimise.
#pragma once

#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"
#include "cvxnn/working_set.hpp"

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

// The duality gap of the model over a working set at coefs, where gradients = A^T R: a sum of
// non-negative terms.
double model_gap(const Operator& op, const WorkingSet& working, const Vector& coefs,
                 const Vector& gradients, ConstMatrixRef R, ConstVectorRef h);

}  // namespace cvxnn
