// Which blocks matter: scores of all blocks at a dual point, safe screening, the worst violators.
#pragma once

#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

class Pricing {
 public:
  // Views that the caller keeps alive. omega: the weights of the loss, for the bounds of screening.
  Pricing(const Operator& op, const Vector& weights, const Vector& omega, Index n_outputs,
          int n_threads);

  // Every block of positive weight is a candidate again.
  void reset();

  // The score of a candidate is the dual norm of A_b^T Theta over weight_b; returns the largest. Of
  // blocks in cones scores may be bounds from above where those are at most `level`, which is that
  // of the penalty of a block of weight one, or without a ridge the largest score is as large and
  // enough others violate.
  double price(ConstMatrixRef Theta, double level, Precision precision, Control& control);

  // The sum of the conjugates of the candidates' penalties at A_b^T Theta, of the last Theta.
  double conjugates(double alpha) const;

  // Drops the candidates that are zero at every optimum: the optimal dual point lies within
  // `radius` of scale * Theta, in the metric of 1/omega (gap-safe sphere; Ndiaye et al. 2017, sec.
  // 3).
  void screen(double scale, double radius, double level);

  // Of each block, for reference_dual_norm(); null without cones.
  std::vector<LastProjection>* projections() {
    return projections_.empty() ? nullptr : &projections_;
  }

  const std::vector<Index>& candidates() const { return candidates_; }
  bool candidate(Index block) const { return is_candidate_[block] != 0; }

  // The `count` candidates of largest score above level, worst first, without those in `except` and
  // those of which a bound alone is known.
  std::vector<Index> violators(double level, const std::vector<Index>& except, Index count) const;

 private:
  void project(const std::vector<Index>& slab, Index first, double level);

  const Operator& op_;
  const Vector& weights_;
  const Vector& omega_;
  Index n_outputs_;
  int n_threads_;
  std::vector<Index> candidates_;  // ascending
  std::vector<char> is_candidate_;
  Vector scores_;               // of candidates_
  std::vector<char> is_bound_;  // whether that is but a bound
  double largest_ = 0.0;        // of the scores that are not
  Index n_violators_ = 0;
  Vector bounds_;  // upper bounds of ||diag(omega)^(1/2) A_b||_2, made when first needed
  Vector gradients_;
  std::vector<LastProjection> projections_;  // of blocks in cones
};

}  // namespace cvxnn
