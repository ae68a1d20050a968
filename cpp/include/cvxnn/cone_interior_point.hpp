// An interior-point method for blocks in cones: the restricted ReLU program, in the space of the
// coefficients.
#pragma once

#include <unordered_map>
#include <vector>

#include "cvxnn/cone_scaling.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/face_newton.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/quadratic_model.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// Mehrotra's predictor and corrector (Wright 1997, ch. 10) on
//   min 1/2 ||tau - sum_j B_j y_j||^2 + sum_j x_j,
//   (x_j, y_j) in a second-order cone,  H_j y_j >= 0,
//   B_j = P h^(1/2) A_j / alphas_j,  P the projection that eliminates the unpenalised block.
// Duals: z_j = B_j^T r + H_j^T rho_j with ||z_j|| <= 1, rho_j >= 0. Newton's matrix is that of the
// coefficients, (sum_j n_features)^2, and costs n_samples n_features^2 a block for the half-spaces.
// Iterations allocate; the factorisation dwarfs that.
class ConeInteriorPoint {
 public:
  // What is held in memory: (B_1, B_2, ...), and twice Newton's matrix.
  static constexpr double kMaxEntries = 5e7;
  static constexpr Index kMaxCoefs = 8192;

  ConeInteriorPoint(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // Until the gap is at most `target` or rounding forbids more, from near the central path: blocks
  // that took part in the last call from where their products were a few times its target, others
  // from the centres of their cones. W, in the cones, and the unpenalised coefficients change; the
  // model's fit is theirs. Theta: dual feasible for these blocks, and where the working set is not
  // empty nearer to the optimum than what belongs to the fit. Returns the number of iterations.
  Index minimise(const WorkingSet& working, Vector& W, Unpenalised& free, QuadraticModel& model,
                 double target, Control& control, Matrix& Theta);

 private:
  struct Direction {
    Vector heads, tails, z;  // of x, of y, of z; one block after the other
    Matrix slacks, rho;      // n_half_spaces x n_blocks
  };

  // Where a block stood: what it starts from in the next call.
  struct Place {
    double alpha, head;
    Vector y, z, slacks, rho;
  };

  void set_model(const WorkingSet& working, const Unpenalised& free, const QuadraticModel& model);
  void start(const WorkingSet& working);
  bool resume(const WorkingSet& working, Index j);
  void remember(const WorkingSet& working);
  Index follow_path(const WorkingSet& working, double target, Control& control);
  void residuals();
  void add_blocks(const WorkingSet& working);
  bool factor(const WorkingSet& working, Control& control);
  Vector newton_product(const WorkingSet& working, const Matrix& ratio, const Vector& v) const;
  void direction(const WorkingSet& working, double centre, bool corrector, Direction& out);
  double step_length(const WorkingSet& working, const Direction& d) const;
  double complementarity() const;
  double gap() const;
  Matrix half_space_products(const Vector& y) const;
  Vector half_space_sums(const Matrix& rho) const;
  bool active(const WorkingSet& working, Index j) const;
  std::vector<Face> faces(const WorkingSet& working) const;
  double objective(const WorkingSet& working, const Vector& y) const;
  void project(const WorkingSet& working, Vector& y) const;
  void finish(const WorkingSet& working, double gap, Vector& W);

  const Operator& op_;
  int n_threads_;

  Matrix signs_;     // of the half-spaces, a block a column
  Matrix B_, gram_;  // and B^T B, lower triangle
  Vector tau_;
  Vector heads_, y_, z_;
  Matrix slacks_, rho_;    // H y and its multipliers
  Vector dual_residual_;   // B^T r + H^T rho - z
  Matrix slack_residual_;  // H y - slacks
  Matrix newton_;          // factored in place
  std::vector<ConeScaling> scalings_;
  Vector directions_, lambda_heads_, lambda_;
  Direction predictor_, step_;
  std::unordered_map<Index, Place> places_;
  std::unordered_map<Index, Vector> centres_;
};

}  // namespace cvxnn
