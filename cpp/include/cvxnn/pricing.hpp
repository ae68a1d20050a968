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
  Pricing(const Operator& op, const Vector& weights, const Vector& omega, Index n_outputs);

  // Every block of positive weight is a candidate again.
  void reset();

  // The score of a candidate is ||A_b^T Theta|| / weight_b; returns the largest, the dual norm of
  // Theta.
  double price(ConstMatrixRef Theta, Precision precision, Control& control);

  // Drops the candidates that are zero at every optimum: the optimal dual point lies within
  // `radius` of scale * Theta, in the metric of 1/omega (gap-safe sphere; Ndiaye et al. 2017, sec.
  // 3).
  void screen(double scale, double radius, double alpha);

  const std::vector<Index>& candidates() const { return candidates_; }
  bool candidate(Index block) const { return is_candidate_[block] != 0; }

  // The `count` candidates of largest score above alpha, worst first, without those in `except`.
  std::vector<Index> violators(double alpha, const std::vector<Index>& except, Index count) const;

 private:
  const Operator& op_;
  const Vector& weights_;
  const Vector& omega_;
  Index n_outputs_;
  std::vector<Index> candidates_;  // ascending
  std::vector<char> is_candidate_;
  Vector scores_;  // of candidates_
  Vector bounds_;  // upper bounds of ||diag(omega)^(1/2) A_b||_2, made when first needed
  Vector gradients_;
};

}  // namespace cvxnn
