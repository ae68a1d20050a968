// The block spectra of quadratic models, made when first needed.
#pragma once

#include <unordered_map>
#include <vector>

#include "cvxnn/block_update.hpp"
#include "cvxnn/operators/operator.hpp"

namespace cvxnn {

// Spectra of A_b^T diag(g) A_b, g a bound of the curvature h that is not far from it: models of a
// loss differ little from one to the next, and decompositions may cost more than the steps that
// they save. Block descent solves blocks in them, majorised steps where g is not h; Newton systems
// are preconditioned by them.
class BlockSpectra {
 public:
  BlockSpectra(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // Decomposes those of the blocks that are missing, all of them afresh where h has moved far.
  void prepare(const std::vector<Index>& blocks, ConstVectorRef h);

  // Estimated seconds of all decompositions so far.
  double effort() const { return effort_; }

  const BlockSpectrum& operator[](Index block) const { return spectra_.at(block); }

 private:
  void follow(ConstVectorRef h);
  bool bounded(Index size);

  const Operator& op_;
  int n_threads_;
  Vector g_;
  double common_bound_ = 0.0;  // of all blocks, and
  Vector traces_;              // the sum of each one's eigenvalues; made when first needed
  double effort_ = 0.0;
  std::unordered_map<Index, BlockSpectrum> spectra_;
};

}  // namespace cvxnn
