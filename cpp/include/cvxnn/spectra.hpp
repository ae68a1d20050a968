// The block spectra of one quadratic model, made when first needed.
#pragma once

#include <unordered_map>
#include <vector>

#include "cvxnn/block_update.hpp"
#include "cvxnn/operators/operator.hpp"

namespace cvxnn {

// Spectra of A_b^T diag(h) A_b. Block descent solves blocks in them, Newton systems are
// preconditioned by them.
class BlockSpectra {
 public:
  BlockSpectra(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // The curvature has changed.
  void clear();

  // Decomposes those of the blocks that are missing.
  void prepare(const std::vector<Index>& blocks, ConstVectorRef h);

  // Estimated seconds of all decompositions so far.
  double effort() const { return effort_; }

  const BlockSpectrum& operator[](Index block) const { return spectra_.at(block); }

 private:
  const Operator& op_;
  bool bounded(Index size, ConstVectorRef h);

  int n_threads_;
  double common_bound_ = 0.0;  // of all blocks, and
  Vector traces_;              // the sum of each one's eigenvalues; made when first needed
  double effort_ = 0.0;
  std::unordered_map<Index, BlockSpectrum> spectra_;
};

}  // namespace cvxnn
