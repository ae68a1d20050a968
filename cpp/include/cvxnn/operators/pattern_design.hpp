// What designs of masked copies of data share, however the data are stored.
#pragma once

#include "cvxnn/operators/operator.hpp"
#include "cvxnn/patterns.hpp"

namespace cvxnn {

// [D_1 X ... D_P X]. A view of patterns that the caller keeps alive.
class PatternDesign : public Operator, public CommonFeatures {
 public:
  Index n_samples() const final { return patterns_.n_samples; }
  Index n_blocks() const final { return patterns_.n_patterns; }
  Index block_size(Index) const final { return n_features_; }

  const CommonFeatures* common_features() const final { return this; }
  Index n_features() const final { return n_features_; }
  void overlaps(const std::vector<Index>& blocks, MatrixRef out) const final;
  void squared_norms(ConstVectorRef h, VectorRef out) const final;

 protected:
  PatternDesign(const PatternView& patterns, Index n_samples, Index n_features, int n_threads);

  // ||x_i||^2 for every sample.
  virtual Vector row_energies() const = 0;

  PatternView patterns_;
  Index n_features_;
  int n_threads_;
};

}  // namespace cvxnn
