// The algebra of one second-order cone, head >= ||tail||, and its Nesterov-Todd scaling (Nesterov
// and Todd 1997; Vandenberghe 2010, sec. 4.2).
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// W maps the dual point s to the primal point x, W s = W^-1 x = lambda:
//   W = eta [w0, w^T; w, I + w w^T / (1 + w0)],  w0^2 - ||w||^2 = 1.
// Newton's equations W^-1 dx + W ds = r, where the head of s is fixed, are M dx_tail = -ds_tail - t
// with M the Schur complement of W^-2 on the tail, M^-1 = eta^2 (I + 2 w w^T).
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

  // From r to what head_step() wants, and t.
  void eliminate_head(double& head, VectorRef tail) const;

  // v <- M^-1 v, out += M v, and H += M.
  void solve_tail(VectorRef v) const;
  void add_product(ConstVectorRef v, VectorRef out) const;
  void add_hessian(MatrixRef H) const;

  // dx's head, from that of eliminate_head() and dx's tail.
  double head_step(double head, ConstVectorRef dx_tail) const;

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

// Adds to r = -lambda Mehrotra's corrector, lambda^-1 o (centre e - (W^-1 dx) o (W ds)) for the
// predictor's dx and ds = (0, ds_tail).
void add_corrector(const ConeScaling& scaling, double lambda_head, ConstVectorRef lambda_tail,
                   double centre, double dx_head, ConstVectorRef dx_tail, ConstVectorRef ds_tail,
                   double& r_head, VectorRef r_tail);

// The largest s for which x + s d stays in the cone, x inside it.
double largest_step(double x_head, ConstVectorRef x_tail, double d_head, ConstVectorRef d_tail);

}  // namespace cvxnn
