// The penalty of one block: a norm and, for the elastic net, a ridge.
#pragma once

#include "cvxnn/block_norm.hpp"

namespace cvxnn {

// level N(W) + ridge / 2 ||W||_F^2 (Zou and Hastie 2005). With a ridge or without, W is zero at the
// optimum where the dual norm of its gradient is at most level.
struct BlockPenalty {
  const BlockNorm* norm;
  double level;
  double ridge;

  double value(ConstMatrixRef W) const {
    return level * norm->value(W) + (ridge > 0.0 ? 0.5 * ridge * W.squaredNorm() : 0.0);
  }

  // max_W <G, W> - value(W) where the norm is Frobenius' and that is the dual norm of G, which in a
  // cone is that of its projection: 0 up to level; beyond, infinite without a ridge.
  double conjugate(double dual) const {
    const double excess = dual - level;
    return excess > 0.0 ? 0.5 * excess * (excess / ridge) : 0.0;
  }

  // W <- argmin_V curvature / 2 ||V - W||_F^2 + value(V).
  void shrink(double curvature, MatrixRef W) const {
    norm->shrink(level / curvature, W);
    if (ridge > 0.0) W *= curvature / (curvature + ridge);
  }
};

}  // namespace cvxnn
