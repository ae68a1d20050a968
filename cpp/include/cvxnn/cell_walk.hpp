// The neuron that most violates the dual constraint: local search over the cells of an arrangement.
#pragma once

#include "cvxnn/cone_projection.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// Ascends g(u) = v^T (X u)_+ over the unit ball. First by gradients X^T D(u) v, whose steps are
// shortened until g grows: the fixed-point iteration u <- X^T D(u) v / ||.|| may descend where v
// has entries of both signs. Then from cell to cell: within one, D, the maximum is the norm of the
// projection q of X^T D v on the cell's cone, and where q lies on walls, those across which it
// would grow further are crossed. Values increase strictly, so a walk ends.
class CellWalk {
 public:
  // x: the data, raw. A view that the caller keeps alive; one walk at a time.
  explicit CellWalk(const DataMatrix<double>& x);

  // Returns the maximum that a walk from u reaches, which is at least 0; u becomes a point strictly
  // inside its cell, of norm one, and `best` the maximiser, of norm one or zero.
  double ascend(const Vector& v, VectorRef u, VectorRef best);

  // The part with gradients alone, some ten times cheaper: u becomes a point of norm one, or zero,
  // and its value, which may be negative, is returned. Walls along which g has ridges hold it up.
  double climb(const Vector& v, VectorRef u);

  // Both for ||Theta^T (X u)_+||, the gain of a neuron that feeds several outputs, of which zero is
  // the least: ascents of v^T (X u)_+ for v = Theta w, w the direction of the outputs at the last
  // point. That bounds it from below and touches it there.
  double ascend_outputs(ConstMatrixRef Theta, VectorRef u, VectorRef best);
  double climb_outputs(ConstMatrixRef Theta, VectorRef u);

 private:
  double linearise(ConstMatrixRef Theta, const Vector& u);
  bool step_up(const Vector& v, VectorRef u, double& value);
  Index cross_walls(const Vector& v, const Vector& u);

  const DataMatrix<double>& x_;
  DataMatrix<double> rows_;  // of norm one, or zero
  Vector lengths_, signs_, scores_, trial_scores_, gradient_, trial_, outputs_, v_;
  ConeProjection projection_;
};

}  // namespace cvxnn
