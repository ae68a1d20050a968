// A semismooth Newton augmented Lagrangian method for blocks in cones: the restricted ReLU program.
#pragma once

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cvxnn/cone_projection.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/face_system.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/quadratic_model.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// On the dual (Li, Sun and Toh 2018, for the lasso) of
//   min 1/2 ||tau - sum_j B_j y_j||^2 + sum_j p_j(y_j),  p_j(y) = ||y|| + ridge_j / 2 ||y||^2 over
//   the cone of block j,  B_j = P h^(1/2) A_j / level_j,  P the projection that eliminates the
//   unpenalised block.
// The multipliers of the dual are the coefficients y. For given y and sigma, Newton's method finds
// the theta that minimises
//   psi(theta) = 1/2 ||theta||^2 - <tau, theta> + sum_j (1 + sigma ridge_j) ||u_j||^2 / (2 sigma),
//   u_j = prox_{sigma p_j}(y_j + sigma B_j^T theta): project on the cone, then shrink;
// then y becomes u. The derivative of the prox lives on the face of the cone that the projection
// is on, so that a step costs what the faces of the non-zero blocks have dimensions, mostly few.
class AugmentedLagrangian {
 public:
  // max_entries: see FaceSystem.
  AugmentedLagrangian(const Operator& op, int n_threads, double max_entries = 1e8)
      : op_(op), n_threads_(n_threads), system_(op, n_threads, max_entries) {}

  // From W and the fit of the model until the gap is at most `target`, or a share of the decrease
  // where the model is not `exact`, or rounding forbids more. W, in the cones, and the unpenalised
  // coefficients change; the model's fit is theirs. Theta: dual feasible for these blocks, and
  // where the working set is not empty nearer to the optimum than what belongs to the fit. Returns
  // the number of Newton steps.
  Index minimise(const WorkingSet& working, Vector& W, Unpenalised& free, QuadraticModel& model,
                 bool exact, double target, Control& control, Matrix& Theta);

 private:
  struct Cone {
    Vector signs;
    ConeProjection projection;
  };

  // What belongs to one theta.
  struct Point {
    Vector theta, z;  // and B^T theta
    Vector u, norms;  // and the norms of (y + sigma z) / sigma projected, where above one; else 0
    Vector gradient;  // of psi
    double psi, primal, dual;  // objectives of u and of theta made feasible
    double move;               // ||u - y||
    double scale;              // that makes the dual objective largest; without ridges feasible
  };

  void set_model(const WorkingSet& working, const Vector& W, const Unpenalised& free,
                 const QuadraticModel& model);
  void start(const WorkingSet& working, const Vector& W, Control& control);
  double first_sigma(const WorkingSet& working);
  Index follow(const WorkingSet& working, Control& control);
  Index minimise_psi(const WorkingSet& working, Control& control, bool& solved);
  void evaluate(const WorkingSet& working, Point& point);
  void shrink(const WorkingSet& working, Index j, Point& point);
  bool newton_step(const WorkingSet& working, Control& control);
  Vector direction(const WorkingSet& working, Control& control);
  void set_faces(const WorkingSet& working);
  void back(const WorkingSet& working, const Vector& theta, Control& control, Vector& z);
  void forward(const std::vector<Index>& blocks, const Vector& coefs, Vector& F);
  void keep_better();
  double gap() const { return best_primal_ - best_dual_; }
  bool done() const {
    return gap() <= std::max(target_, settled_ * (first_primal_ - best_primal_));
  }

  const Operator& op_;
  int n_threads_;
  FaceSystem system_;

  Vector root_;      // h^(1/2)
  Matrix free_;      // orthonormal, spans the unpenalised block in the metric of h
  Vector inverses_;  // 1 / level, of each coefficient
  Vector ridges_;    // of each block
  Vector tau_, y_;
  double sigma_ = 0.0;  // the last call's too: 0 before the first
  Point now_, trial_;
  Vector best_u_, best_theta_;
  double best_primal_, best_dual_, first_primal_;
  double target_, settled_;  // gaps that are small enough, one of them of the decrease
  std::unordered_map<Index, std::unique_ptr<Cone>> cones_;  // of blocks of the working set
  std::vector<Cone*> cone_;                                 // in its order
  std::vector<Index> face_blocks_;                          // that are not zero
  std::vector<Face> faces_;
};

}  // namespace cvxnn
