// Block coordinate descent with exact block solves on a quadratic model of the loss.
#pragma once

#include <unordered_map>

#include "cvxnn/block_update.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// The model at F0: L(F) ~ L(F0) - <Theta0, F - F0> + 1/2 sum_i h_i ||F_i - F0_i||^2. For the
// squared loss it is the loss. R = Theta0 - diag(h) (F - F0) is its dual point at F.
struct QuadraticModel {
  Matrix F, R;
  Matrix F0, Theta0;
  Vector h;

  void resize(Index n_samples, Index n_outputs);
  double value() const;  // less L(F0)
};

// Anderson extrapolation of the last iterates (Bertrand and Massias 2021), kept only where it
// lowers the objective of the model.
class Extrapolation {
 public:
  static constexpr int kDepth = 5;

  void resize(Index size);
  void clear() { count_ = 0; }
  bool full() const { return count_ == kDepth + 1; }
  void push(ConstVectorRef iterate);
  // The extrapolated iterate; false where the small system is singular.
  bool extrapolate(VectorRef out);

 private:
  Matrix iterates_;  // one a column, oldest first
  Matrix differences_;
  Eigen::Matrix<double, kDepth, kDepth> gram_;
  Eigen::Matrix<double, kDepth, 1> weights_;
  int count_ = 0;
};

class BlockDescent {
 public:
  BlockDescent(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // Forgets the Gram matrices of the blocks: the curvature has changed.
  void clear() { spectra_.clear(); }

  // Lowers the restricted model until its duality gap is at most target_gap, and returns the number
  // of epochs. Coefficients and fit stay consistent if a StopRequest ends the call.
  Index minimise(WorkingSet& working, Unpenalised& free, QuadraticModel& model, Precision precision,
                 double target_gap, Index max_epochs, Control& control);

 private:
  void prepare(const WorkingSet& working, ConstVectorRef h);
  void epoch(const WorkingSet& working, Unpenalised& free, QuadraticModel& model, bool active_only,
             Control& control);
  void visit(const WorkingSet& working, Index j, QuadraticModel& model);
  void try_extrapolation(const WorkingSet& working, Unpenalised& free, QuadraticModel& model);
  double objective(const WorkingSet& working, const QuadraticModel& model) const;
  double gap(const WorkingSet& working, const QuadraticModel& model, Precision precision,
             Control& control);
  void rotate(const WorkingSet& working, const Vector& from, Vector& to, bool forward) const;

  const Operator& op_;
  int n_threads_;
  std::unordered_map<Index, BlockSpectrum> spectra_;  // of any block that was ever visited

  std::vector<const BlockSpectrum*> spectrum_;  // of the working set
  Vector rotated_;                              // V^T W, the coordinates in which blocks are solved
  Vector previous_, gradients_, weights_;
  Matrix gradient_, linear_, change_, step_;  // of one block
  Vector joint_;  // rotated_, the unpenalised block and F, in one vector
  Extrapolation extrapolation_;
};

}  // namespace cvxnn
