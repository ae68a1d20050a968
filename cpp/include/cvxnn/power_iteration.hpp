// A safe bound of the largest eigenvalue of a positive semi-definite matrix known by its products.
#pragma once

#include <algorithm>
#include <random>

#include "cvxnn/types.hpp"

namespace cvxnn {

// apply(v, w): w = H v. scale: entries of the size of H's rows, from which to start. A power
// iteration bounds a little from below; the factor makes the bound safe.
template <class Apply>
double largest_eigenvalue(Vector scale, Apply&& apply) {
  constexpr int kMinSteps = 20, kMaxSteps = 200;
  Vector v = std::move(scale), w(v.size());
  // Signs without a pattern: a vector of one sign can be an eigenvector, and not the leading one.
  std::minstd_rand engine;
  for (double& x : v) x = engine() % 1024 < 512 ? x : -x;
  double value = 0.0;
  for (int k = 0; k < kMaxSteps && v.norm() > 0.0; ++k) {
    v.normalize();
    apply(v, w);
    const double next = w.norm();
    v = w;
    if (k >= kMinSteps && next <= value * (1.0 + 1e-6)) break;
    value = std::max(value, next);
  }
  return 1.02 * value;
}

}  // namespace cvxnn
