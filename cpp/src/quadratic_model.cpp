#include "cvxnn/quadratic_model.hpp"

#include <algorithm>

namespace cvxnn {

void QuadraticModel::resize(Index n_samples, Index n_outputs) {
  for (Matrix* m : {&F, &R, &F0, &Theta0}) m->setZero(n_samples, n_outputs);
  h.setZero(n_samples);
}

// -<Theta0, D> + 1/2 <D, h D> with D = F - F0 and h D = Theta0 - R.
double QuadraticModel::value() const {
  return -0.5 * ((F - F0).array() * (Theta0 + R).array()).sum();
}

// L(F) + L*(-s R) + <F, s R> + sum_j (a_j ||W_j|| - s <W_j, A_j^T R>).
double model_gap(const Operator& op, const WorkingSet& working, const Vector& coefs,
                 const Vector& gradients, ConstMatrixRef R, ConstVectorRef h) {
  double s = 1.0;
  for (Index j = 0; j < working.size(); ++j) {
    const double alpha = working.alphas[j];
    double norm = working.block(gradients, j).norm();  // a bound of the dual norm
    if (norm * s > alpha && (op.cones() != nullptr || !op.norm().frobenius())) {
      Matrix G = working.block(gradients, j);
      norm = op.restrict(working.blocks[j], G);
    }
    if (norm * s > alpha) s = alpha / norm;
  }
  double curve = 0.0;
  for (Index i = 0; i < h.size(); ++i) {
    if (h[i] > 0.0) curve += R.row(i).squaredNorm() / h[i];
  }
  double sum = 0.5 * (1.0 - s) * (1.0 - s) * curve;
  for (Index j = 0; j < working.size(); ++j) {
    const auto W = working.block(coefs, j);
    sum += working.penalty(coefs, j) - s * W.cwiseProduct(working.block(gradients, j)).sum();
  }
  return sum;
}

}  // namespace cvxnn
