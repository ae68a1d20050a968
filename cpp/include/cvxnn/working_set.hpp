// The blocks a restricted problem is solved over, and their coefficients.
#pragma once

#include <vector>

#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

struct WorkingSet {
  std::vector<Index> blocks;
  std::vector<Index> starts;  // of each block in coefs, and one past the end
  std::vector<BlockPenalty> penalties;
  Vector coefs;  // blocks one after the other, block_size x n_outputs each
  Index n_outputs = 1;

  Index size() const { return static_cast<Index>(blocks.size()); }
  Index rows(Index j) const { return (starts[j + 1] - starts[j]) / n_outputs; }
  MatrixMap block(Vector& values, Index j) const {
    return MatrixMap(values.data() + starts[j], rows(j), n_outputs);
  }
  ConstMatrixMap block(const Vector& values, Index j) const {
    return ConstMatrixMap(values.data() + starts[j], rows(j), n_outputs);
  }
  // The same as a vector.
  auto entries(Vector& values, Index j) const {
    return values.segment(starts[j], starts[j + 1] - starts[j]);
  }
  auto entries(const Vector& values, Index j) const {
    return values.segment(starts[j], starts[j + 1] - starts[j]);
  }
  bool active(Index j) const { return !block(coefs, j).isZero(0.0); }
  Index n_active() const;

  // Of one block, and their sum.
  double penalty(const Vector& values, Index j) const {
    return penalties[j].value(block(values, j));
  }
  double penalty(const Vector& values) const;

  // Coefficients of blocks that stay are kept, those of new blocks start at zero. Penalties are
  // the operator's, at alpha times the weight of each block.
  void reset(const Operator& op, const std::vector<Index>& new_blocks, ConstVectorRef weights,
             double alpha);
};

}  // namespace cvxnn
