// Block coordinate descent with exact block solves on a quadratic model of the loss.
#pragma once

#include "cvxnn/control.hpp"
#include "cvxnn/newton.hpp"
#include "cvxnn/quadratic_model.hpp"
#include "cvxnn/spectra.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

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

// What follows an epoch of block updates.
enum class Acceleration { extrapolation, newton };

class BlockDescent {
 public:
  BlockDescent(const Operator& op, BlockSpectra& spectra, int n_threads)
      : op_(op), spectra_(spectra), newton_(op, spectra, n_threads) {}

  // The curvature has changed.
  void clear() { newton_.clear(); }

  // Lowers the restricted model until its duality gap is at most target_gap, max_epochs are over or
  // rounding forbids more; returns the number of epochs. Coefficients and fit stay consistent if a
  // StopRequest ends the call. Newton steps are for one output.
  Index minimise(WorkingSet& working, Unpenalised& free, QuadraticModel& model, Precision precision,
                 Acceleration acceleration, double target_gap, Index max_epochs, Control& control);

  // Estimated seconds of Newton steps and decompositions so far; see cost_model.hpp.
  double effort() const { return spectra_.effort() + newton_.effort(); }

 private:
  void prepare(const WorkingSet& working, const Unpenalised& free, const QuadraticModel& model,
               Acceleration acceleration);
  Index descend(WorkingSet& working, Unpenalised& free, QuadraticModel& model, Precision precision,
                double target_gap, Index max_epochs, Control& control);
  Index newton(WorkingSet& working, Unpenalised& free, QuadraticModel& model, Precision precision,
               double target_gap, Index max_epochs, Control& control);
  bool changes_status(const WorkingSet& working, Index j);
  void epoch(const WorkingSet& working, Unpenalised& free, QuadraticModel& model, bool active_only,
             Control& control);
  void visit(const WorkingSet& working, Index j, QuadraticModel& model);
  void try_extrapolation(const WorkingSet& working, Unpenalised& free, QuadraticModel& model);
  double objective(const WorkingSet& working, const QuadraticModel& model) const;
  double gap(const WorkingSet& working, const QuadraticModel& model, Precision precision,
             Control& control);
  void rotate(const WorkingSet& working, const Vector& from, Vector& to, bool forward) const;

  const Operator& op_;
  BlockSpectra& spectra_;
  NewtonMethod newton_;

  std::vector<const BlockSpectrum*> spectrum_;  // of the working set
  Vector rotated_;                              // V^T W, the coordinates in which blocks are solved
  Vector previous_, gradients_;
  Matrix gradient_, linear_, change_, step_;  // of one block
  Vector joint_;  // rotated_, the unpenalised block and F, in one vector
  Extrapolation extrapolation_;
};

}  // namespace cvxnn
