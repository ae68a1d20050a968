// The seam between architectures and solvers: a model is F = sum_b A_b W_b, and a solver knows an
// architecture only through what A_b does.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "cvxnn/activation_cones.hpp"
#include "cvxnn/block_penalty.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// Arithmetic of the all-block products. `standard` is that of the data; `accurate` is float64.
enum class Precision { standard, accurate };

// Blocks that are masks of common features: A_p^T diag(h) A_q is near overlap(p, q) G, where G is
// the Gram matrix of the features. What preconditioners are made of; nothing else relies on it.
class CommonFeatures {
 public:
  virtual ~CommonFeatures() = default;

  virtual Index n_features() const = 0;

  // G = X^T diag(h) X, both triangles.
  virtual void feature_gram(ConstVectorRef h, MatrixRef G) const = 0;

  // out(p, q) = the share of the samples at which blocks p and q of the list are both active,
  // about.
  virtual void overlaps(const std::vector<Index>& blocks, MatrixRef out) const = 0;
};

// Blocks A_b (n_samples x block_size), b = 0 .. n_blocks - 1. A coefficient or gradient block is
// block_size x n_outputs, column-major; a list of blocks stores them one after the other.
// Products over a list run on threads and may use internal scratch space: one caller at a time.
// Single-block functions are serial and may run concurrently; gradient and step allocate nothing.
class Operator {
 public:
  virtual ~Operator() = default;

  virtual Index n_samples() const = 0;
  virtual Index n_blocks() const = 0;
  virtual Index block_size(Index block) const = 0;

  // Whether Precision::standard is less than float64.
  virtual bool float_products() const { return false; }

  // Null where blocks have none.
  virtual const CommonFeatures* common_features() const { return nullptr; }

  // Null where blocks may be anything; else those they are restricted to, with one output.
  virtual const ActivationCones* cones() const { return nullptr; }

  // What the penalty measures blocks by. In cones it is the Frobenius norm.
  const BlockNorm& norm() const { return *norm_; }

  // The penalty of a block at a strength, alpha times its weight: (1 - l2_ratio) of that is the
  // norm's, l2_ratio the ridge's.
  BlockPenalty penalty(double strength) const {
    return {norm_.get(), (1.0 - l2_ratio_) * strength, l2_ratio_ * strength};
  }
  bool has_ridge() const { return l2_ratio_ > 0.0; }

  // A ridge takes the Frobenius norm.
  void set_penalty(std::shared_ptr<const BlockNorm> norm, double l2_ratio = 0.0) {
    require(l2_ratio >= 0.0 && l2_ratio < 1.0,
            "l2_ratio must be in [0, 1), got " + std::to_string(l2_ratio));
    require(l2_ratio == 0.0 || norm->frobenius(), "l2_ratio is for the Frobenius norm alone");
    norm_ = std::move(norm);
    l2_ratio_ = l2_ratio;
  }

  // Overwrites G by its projection on what block may be. Returns its dual norm, that is of a
  // gradient: the largest <G, W> over what block may be with norm at most one. May run
  // concurrently. last: see ActivationCones::project. Norms that are at most `enough` may be
  // bounds from above.
  double restrict(Index block, MatrixRef G, double enough = 0.0,
                  LastProjection* last = nullptr) const {
    if (cones() != nullptr) cones()->project(block, G.col(0), last, enough);
    return norm().dual(G);
  }

  // out = (A_b^T R) for b in blocks; R: n_samples x n_outputs.
  virtual void gradients(const std::vector<Index>& blocks, ConstMatrixRef R, Precision precision,
                         Control& control, double* out) const = 0;

  // F = sum_j A_{blocks[j]} coefs_j; F: n_samples x n_outputs, overwritten.
  virtual void forward(const std::vector<Index>& blocks, const double* coefs, Precision precision,
                       MatrixRef F) const = 0;

  // out = A_b^T R.
  virtual void gradient(Index block, ConstMatrixRef R, MatrixRef out) const = 0;

  // F += A_b W and R -= diag(h) A_b W: one step of a block and of the residual of its model.
  virtual void step(Index block, ConstMatrixRef W, ConstVectorRef h, MatrixRef F,
                    MatrixRef R) const = 0;

  // H = A_b^T diag(h) A_b, h >= 0, both triangles.
  virtual void gram(Index block, ConstVectorRef h, MatrixRef H) const = 0;

  // Lower triangle of S = sum_j scales_j A_{blocks[j]} A_{blocks[j]}^T, n_samples x n_samples.
  virtual void sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales,
                           Control& control, MatrixRef S) const = 0;

  // Column j of out becomes rows first, first + 1 ... of A_{blocks[j]} coefs_j, one output. Serial.
  virtual void images(const std::vector<Index>& blocks, const double* coefs, Index first,
                      MatrixRef out) const = 0;

  // out[b] = || diag(h)^(1/2) A_b ||_F^2 for every block.
  virtual void squared_norms(ConstVectorRef h, VectorRef out) const = 0;

  // A bound of the eigenvalues of A_b^T diag(h) A_b for all b at once; infinite where none is
  // cheap.
  virtual double curvature_bound(ConstVectorRef h) const = 0;

  // out = A_b as a dense matrix.
  virtual void dense_block(Index block, MatrixRef out) const = 0;

  // Second implementations, float64 and without the kernels above, from which certificates are
  // computed. gradients: blocks [first, first + count), re-entrant.
  virtual void reference_gradients(Index first, Index count, ConstMatrixRef R,
                                   double* out) const = 0;
  virtual void reference_forward(const std::vector<Index>& blocks, const double* coefs,
                                 MatrixRef F) const = 0;

 private:
  std::shared_ptr<const BlockNorm> norm_ = block_norm("frobenius");
  double l2_ratio_ = 0.0;
};

}  // namespace cvxnn
