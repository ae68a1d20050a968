// The linear system of a Newton step on the non-zero blocks, by preconditioned conjugate gradients.
#pragma once

#include "cvxnn/conjugate_gradients.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/feature_spectrum.hpp"
#include "cvxnn/kronecker.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/profiled_hessian.hpp"
#include "cvxnn/sample_system.hpp"
#include "cvxnn/spectra.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// (B^T B + D) y = rhs over the non-zero blocks W_j, as vectors. B = Q diag(h)^(1/2) A, where Q
// projects the unpenalised block out, and D is the Hessian of the penalty,
//   D_j = kappa_j (I - u_j u_j^T) + ridge_j I,  u_j = W_j / ||W_j||,  kappa_j = level_j / ||W_j||.
// Or with the Hessian of a loss instead of diag(h). Preconditioned by KroneckerInverse where blocks
// have common features, and one output or that Hessian; by its diagonal blocks elsewhere. Products
// run on the operator: nothing of the size of B is formed.
class NewtonSystem {
 public:
  NewtonSystem(const Operator& op, BlockSpectra& spectra, int n_threads);

  // h has changed. With a Hessian the preconditioner may lag behind: the features of an earlier
  // one.
  void clear();

  // Makes room for any subset of the working set.
  void reserve(const WorkingSet& working);

  // Takes the non-zero blocks of W. Makes the preconditioner, and so may allocate; solve() does
  // not. With a Hessian, which must stay, h is the curvature that bounds it.
  void set(const WorkingSet& working, const Vector& W, ConstVectorRef h,
           ProfiledHessian* hessian = nullptr);

  Index size() const { return starts_.back(); }
  Index n_blocks() const { return static_cast<Index>(blocks_.size()); }
  Index position(Index a) const { return positions_[a]; }  // in the working set
  auto part(Vector& values, Index a) const { return values.segment(starts_[a], length(a)); }
  auto part(const Vector& values, Index a) const { return values.segment(starts_[a], length(a)); }
  auto unit(Index a) const { return part(unit_, a); }

  // out = A^T R over these blocks.
  void gradient(ConstMatrixRef R, Precision precision, Control& control, Vector& out) const {
    op_.gradients(blocks_, R, precision, control, out.data());
  }

  // The curvature of the loss, the unpenalised block following, times a fit: fit <- H fit.
  void curve(Unpenalised& free, Matrix& fit) const;

  // Overwrites the first size() entries of y, and Ay = A y (n_samples x n_outputs): by conjugate
  // gradients until the preconditioned residual has fallen by `tolerance`, or by a factorisation
  // over samples where the last solve took more iterations than that costs. Allocates for the
  // preconditioner and the factorisation alone.
  void solve(const Vector& rhs, double tolerance, Index max_iterations, Unpenalised& free,
             Precision precision, Control& control, Vector& y, Matrix& Ay);

  // Estimated seconds of all solves so far.
  double effort() const { return effort_; }

 private:
  Index length(Index a) const { return starts_[a + 1] - starts_[a]; }
  MatrixMap block(Vector& values, Index a) const {
    return MatrixMap(values.data() + starts_[a], length(a) / n_outputs_, n_outputs_);
  }
  ConstMatrixMap block(const Vector& values, Index a) const {
    return ConstMatrixMap(values.data() + starts_[a], length(a) / n_outputs_, n_outputs_);
  }
  double direct_seconds(Index n_free) const;
  bool solve_directly(const Vector& rhs, Unpenalised& free, Control& control, Vector& y,
                      Matrix& Ay);
  void apply(const Vector& y, Unpenalised& free, Precision precision, Control& control,
             Vector& out);
  void prepare_features(ConstVectorRef h);
  void set_kronecker();
  void set_diagonal_blocks();
  void precondition(const Vector& v, Vector& out);

  const Operator& op_;
  BlockSpectra& spectra_;
  int n_threads_;
  Index n_outputs_ = 1;
  std::vector<Index> positions_, blocks_, starts_{0};
  std::vector<const BlockSpectrum*> spectrum_;
  Vector root_;                  // h^(1/2)
  Vector unit_, kappa_, ridge_;  // u, kappa and ridge of each block
  ProfiledHessian* hessian_ = nullptr;
  FeatureSpectrum features_;
  double features_curvature_ = 0.0;  // that they were made with, summed
  Vector scales_;                    // of the outputs, beside it
  KroneckerInverse kronecker_;
  bool by_kronecker_ = false;
  Vector rotated_, scaled_unit_, correction_;  // of the Sherman-Morrison formula
  SampleSystem<Matrix> sample_system_;
  Index last_iterations_ = 0;
  double effort_ = 0.0;
  ConjugateGradients gradients_;
  Vector across_;  // the u_j / (kappa_j + ridge_j)^(1/2)
  Matrix samples_;
};

}  // namespace cvxnn
