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

// L(F) + L*(-s R) + <F, s R> + sum_j (p_j(W_j) + p_j*(s A_j^T R) - s <W_j, A_j^T R>) at the largest
// s <= 1 that is feasible without ridges or, with them, at s = 1 if that is less.
double model_gap(const Operator& op, const WorkingSet& working, const Vector& coefs,
                 const Vector& gradients, ConstMatrixRef R, ConstVectorRef h) {
  const bool restricted = op.cones() != nullptr || !op.norm().frobenius();
  double s = 1.0, conjugates = 0.0;
  for (Index j = 0; j < working.size(); ++j) {
    const BlockPenalty& penalty = working.penalties[j];
    double norm = working.block(gradients, j).norm();  // a bound of the dual norm
    if (restricted && norm * (op.has_ridge() ? 1.0 : s) > penalty.level) {
      Matrix G = working.block(gradients, j);
      norm = op.restrict(working.blocks[j], G);
    }
    if (norm * s > penalty.level) s = penalty.level / norm;
    conjugates += penalty.conjugate(norm);
  }
  double curve = 0.0;
  for (Index i = 0; i < h.size(); ++i) {
    if (h[i] > 0.0) curve += R.row(i).squaredNorm() / h[i];
  }
  double sum = 0.0, unscaled = conjugates;
  for (Index j = 0; j < working.size(); ++j) {
    const double inner = working.block(coefs, j).cwiseProduct(working.block(gradients, j)).sum();
    const double penalty = working.penalty(coefs, j);
    sum += penalty - s * inner;
    unscaled += penalty - inner;
  }
  return std::min(0.5 * (1.0 - s) * (1.0 - s) * curve + sum, unscaled);
}

}  // namespace cvxnn
