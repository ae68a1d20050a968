// The cones of activation patterns, in which gated neurons are ReLU neurons.
#pragma once

#include <vector>

#include "cvxnn/patterns.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// What is kept of a projection for the next one on the same cone, of a point near by.
struct LastProjection {
  std::vector<Index> walls;  // rows that it was on
  Vector polar;              // the unit vector that it went against; empty where it hardly moved

  // Of the norm of the projection of a, from above: polar is in the polar cone, and the norm is the
  // distance to that (Moreau 1962).
  double bound(ConstVectorRef a) const;
};

// One cone for several blocks: that of block b is K_{b mod n_cones}. Owns unit copies, in float64,
// of the rows that are not zero.
class ActivationCones {
 public:
  // K_p = {w : (2 D_p - I) X w >= 0} (Pilanci and Ergen 2020, eq. 8): cones of common rows.
  template <class T>
  ActivationCones(const DataMap<T>& x, const PatternView& patterns);

  // K_p = {w : A_p w >= 0}, A_p the rows starts[p], ... starts[p + 1] - 1 of those stacked: cones
  // of their own rows, such as those of the winners of max pooling.
  template <class T>
  ActivationCones(const DataMap<T>& stacked, const std::vector<Index>& starts);

  const DataMatrix<double>& rows(Index block) const { return rows_[block % rows_.size()]; }

  // K = {w : signs_k rows_k^T w >= 0}: of common rows +1 where the pattern is active, -1 elsewhere.
  void signs(Index block, VectorRef out) const;

  // Overwrites a by its projection on the cone of `block`, whose norm is the maximum of <a, w> over
  // w in the cone with ||w|| <= 1. May run concurrently. False where rounding kept it outside.
  // last: where it begins, and then what is kept of it. enough: see ConeProjection::resume.
  bool project(Index block, VectorRef a, LastProjection* last = nullptr, double enough = 0.0) const;

 private:
  std::vector<DataMatrix<double>> rows_;  // one where they are common, else one a cone
  std::vector<Index> samples_;            // of common rows
  PatternView patterns_;                  // empty where cones have their own rows
};

}  // namespace cvxnn
