// Projection on a polyhedral cone K = {w : s_k x_k^T w >= 0 for all k}, s_k = +-1.
#pragma once

#include <vector>

#include "cvxnn/types.hpp"

namespace cvxnn {

// The active-set method of Lawson and Hanson (1974, ch. 23) on the dual, min ||a + H^T rho|| over
// rho >= 0 with H = diag(s) X. Passive rows span what the projection is orthogonal to: they are
// independent, and kept as an orthogonal factorisation, for squared condition numbers would show.
class ConeProjection {
 public:
  explicit ConeProjection(Index n_features);

  // Overwrites a by its projection. Rows of x have norm one or zero. Begins with the passive rows
  // of the last call if it is `warm`. False, and a not yet in the cone, where rounding lets no row
  // enter; its norm still is at least that of the projection.
  bool project(const DataMatrix<double>& x, const Vector& signs, VectorRef a, bool warm = false);

  // The same in two parts: what passive rows to begin with, and the projection from those there
  // are; after a call for the same cone the second alone will do. Ends early, and a is outside,
  // where ||a|| is at most `enough`: it bounds the norm of the projection all along.
  void begin_with(const DataMatrix<double>& x, const Vector& signs, const std::vector<Index>& rows);
  bool resume(const DataMatrix<double>& x, const Vector& signs, VectorRef a, double enough = 0.0);

  // Rows with positive multipliers after project(), and those multipliers.
  const std::vector<Index>& passive() const { return passive_; }
  const std::vector<double>& multipliers() const { return rho_; }

  // The projection moves along the face that it is on: orthogonally to the passive rows, which
  // these orthonormal columns span.
  auto across() const { return basis_.leftCols(static_cast<Index>(passive_.size())); }

  // Orthonormal columns that span what is orthogonal to those.
  Matrix face() const;

 private:
  bool append(const DataMatrix<double>& x, const Vector& signs, Index row);
  void remove(Index position);
  void refresh(ConstVectorRef a);
  void solve();
  Index most_violated(const DataMatrix<double>& x, const Vector& signs, ConstVectorRef a,
                      double tolerance);
  void gather_violated(const DataMatrix<double>& x, const Vector& signs, double tolerance);
  void back_to_boundary();

  std::vector<Index> passive_;
  std::vector<double> rho_;  // of the passive rows, in their order
  Matrix basis_, triangle_;  // H_passive^T = basis triangle
  Vector row_, along_;
  Vector coordinates_;  // of what is projected, in the basis
  Vector solution_, projection_, products_;
  std::vector<Index> barred_;  // rows that rounding keeps out
  std::vector<Index> near_;    // rows among which the next ones to enter are sought
  DataMatrix<double> near_rows_;
  Vector near_products_;
};

constexpr double kOnWall = 1e-9;  // sine of the angle to a wall that a point is on

// A unit vector strictly inside the cone, from a point of the cone that may be on walls: a step
// that leaves those walls equally, short of the others.
Vector inside(const DataMatrix<double>& x, const Vector& signs, ConstVectorRef point);

}  // namespace cvxnn
