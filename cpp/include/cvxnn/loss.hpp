// Losses: everything the solvers and the duality gap need to know of one.
#pragma once

#include <memory>

#include "cvxnn/loss_hessian.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

class ProximalLoss;

// L(F) = sum_i omega_i l(F_i, y_i) with omega_i = s_i / n, sum omega_i = 1, for sample weights s_i
// of mean one. F, Y: n_samples x n_outputs, the loss summed over outputs.
//
// The dual variable is Theta = -grad L(F). The dual objective is d(Theta) = -L*(-Theta), on a
// domain that is closed under shrinking towards zero (Fenchel duality; Pilanci and Ergen 2020, sec.
// 3).
class Loss {
 public:
  Loss(Matrix y, Vector omega) : y_(std::move(y)), omega_(std::move(omega)) {}
  virtual ~Loss() = default;

  Index n_samples() const { return y_.rows(); }
  Index n_outputs() const { return y_.cols(); }
  const Vector& omega() const { return omega_; }

  virtual double value(ConstMatrixRef F) const = 0;

  // Theta = -grad L(F).
  virtual void dual_point(ConstMatrixRef F, MatrixRef Theta) const = 0;

  // d(Theta); -infinity outside the domain.
  virtual double dual_value(ConstMatrixRef Theta) const = 0;

  // L(F) + L*(-Theta) + <F, Theta> >= 0, each sample's share computed without cancellation.
  virtual double fenchel_gap(ConstMatrixRef F, ConstMatrixRef Theta) const = 0;

  // h: the curvature of a quadratic model of L at F, per sample the larger over outputs. Zero only
  // where the gradient is zero too.
  virtual void curvature(ConstMatrixRef F, VectorRef h) const = 0;

  // H: the Hessian at F, of what curvature() stands for where there is none.
  virtual void hessian(ConstMatrixRef F, LossHessian& H) const = 0;

  // l'' <= smoothness(): d is 1/smoothness() strongly concave in the metric of 1/omega. Infinite
  // for a loss with kinks.
  virtual double smoothness() const = 0;

  // What steps are taken on instead of a loss with kinks; null for smooth ones.
  virtual std::unique_ptr<ProximalLoss> proximal() const;

  // True if the model of curvature() is L itself.
  virtual bool quadratic() const = 0;

  // Entries on the side of zero where the domain has nothing become zero: a projection on A_0^T
  // Theta = 0 may have moved them there, and no scaling leads back.
  virtual void clip(MatrixRef Theta) const = 0;

  // argmax of d(s Theta) over 0 <= s <= limit, or an s near it; s Theta is in the domain if a
  // clipped Theta was scaled.
  virtual double best_scale(ConstMatrixRef Theta, double limit) const = 0;

 protected:
  Matrix y_;
  Vector omega_;
};

// The envelope L_c(F) = max_Theta d(Theta) - <F, Theta> - sigma/2 sum_i omega_i |v_i - c_i|^2,
// where v_i = Theta_i / omega_i: smooth, at most L, and equal to it where Theta = c. Minimising it
// and moving c to its dual point, again and again, is the proximal point method on the dual
// (Rockafellar 1976, Augmented Lagrangians and applications of the proximal point algorithm, sec.
// 4).
class ProximalLoss : public Loss {
 public:
  using Loss::Loss;

  // Moves c to the dual point at F.
  virtual void recentre(ConstMatrixRef F) = 0;

  // Shrinks sigma: nearer to L, and harder to minimise.
  virtual void sharpen() = 0;
};

inline std::unique_ptr<ProximalLoss> Loss::proximal() const { return nullptr; }

}  // namespace cvxnn
