// The algebra of one second-order cone, head >= ||tail||, and its Nesterov-Todd scaling (Nesterov
// and Todd 1997; Vandenberghe 2010, sec. 4.2).
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// W maps the dual point s to the primal point x, W s = W^-1 x = lambda:
//   W = eta [w0, w^T; w, I + w w^T / (1 + w0)],  w0^2 - ||w||^2 = 1.
// The Schur complement of W^-2 on the tail has the inverse eta^2 (I + 2 w w^T).
class ConeScaling {
 public:
  // w: storage for the direction, as long as a tail.
  ConeScaling(double x_head, ConstVectorRef x_tail, double s_head, ConstVectorRef s_tail,
              double* w);

  double eta() const { return eta_; }
  double w0() const { return w0_; }
  Eigen::Map<const Vector> w() const { return {w_, size_}; }

  // In place: a <- W a and a <- W^-1 a.
  void apply(double& head, VectorRef tail) const;
  void apply_inverse(double& head, VectorRef tail) const;

 private:
  double eta_, w0_;
  double* w_;
  Index size_;
};

// head^2 - ||tail||^2 without cancellation.
double cone_determinant(double head, ConstVectorRef tail);

// b <- a o b, and b <- the solution x of a o x = b.
void jordan_product(double a_head, ConstVectorRef a_tail, double& b_head, VectorRef b_tail);
void jordan_divide(double a_head, ConstVectorRef a_tail, double& b_head, VectorRef b_tail);

// The largest s for which x + s d stays in the cone, x inside it.
double largest_step(double x_head, ConstVectorRef x_tail, double d_head, ConstVectorRef d_tail);

}  // namespace cvxnn
