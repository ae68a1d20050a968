// The cones of activation patterns, in which gated neurons are ReLU neurons.
#pragma once

#include <vector>

#include "cvxnn/patterns.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// K_p = {w : (2 D_p - I) X w >= 0} (Pilanci and Ergen 2020, eq. 8), each for several blocks: that
// of block b is K_{b mod n_patterns}. Owns unit copies, in float64, of the rows that are not zero.
class ActivationCones {
 public:
  // gates: n_features x n_patterns, the points from which the patterns were made. A view.
  template <class T>
  ActivationCones(const DataMap<T>& x, const PatternView& patterns, const DataMap<double>& gates);

  const DataMatrix<double>& rows() const { return rows_; }

  // +1 where the pattern of `block` is active, -1 elsewhere: K = {w : signs_k rows_k^T w >= 0}.
  void signs(Index block, VectorRef out) const;

  // A point of the cone of `block` far from its walls: its analytic centre, the u that maximises
  // sum_k log(signs_k rows_k^T u) - n_rows / 2 ||u||^2, about, and so of norm one, about.
  Vector centre(Index block) const;

  // Overwrites a by its projection on the cone of `block`, whose norm is the maximum of <a, w> over
  // w in the cone with ||w|| <= 1. May run concurrently. False where rounding kept it outside.
  bool project(Index block, VectorRef a) const;

 private:
  DataMatrix<double> rows_;
  std::vector<Index> samples_;  // of rows_
  PatternView patterns_;
  DataMap<double> gates_;
};

}  // namespace cvxnn
