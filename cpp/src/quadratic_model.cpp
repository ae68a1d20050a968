#include "cvxnn/quadratic_model.hpp"

namespace cvxnn {

void QuadraticModel::resize(Index n_samples, Index n_outputs) {
  for (Matrix* m : {&F, &R, &F0, &Theta0}) m->setZero(n_samples, n_outputs);
  h.setZero(n_samples);
}

// -<Theta0, D> + 1/2 <D, h D> with D = F - F0 and h D = Theta0 - R.
double QuadraticModel::value() const {
  return -0.5 * ((F - F0).array() * (Theta0 + R).array()).sum();
}

}  // namespace cvxnn
