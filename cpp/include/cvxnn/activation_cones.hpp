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
  template <class T>
  ActivationCones(const DataMap<T>& x, const PatternView& patterns);

  const DataMatrix<double>& rows() const { return rows_; }

  // +1 where the pattern of `block` is active, -1 elsewhere: K = {w : signs_k rows_k^T w >= 0}.
  void signs(Index block, VectorRef out) const;

  // Overwrites a by its projection on the cone of `block`, whose norm is the maximum of <a, w> over
  // w in the cone with ||w|| <= 1. May run concurrently. False where rounding kept it outside.
  // walls: rows that the projection may be thought to be on, and then those that it is on.
  // enough: see ConeProjection::resume.
  bool project(Index block, VectorRef a, std::vector<Index>* walls = nullptr,
               double enough = 0.0) const;

 private:
  DataMatrix<double> rows_;
  std::vector<Index> samples_;  // of rows_
  PatternView patterns_;
};

}  // namespace cvxnn
