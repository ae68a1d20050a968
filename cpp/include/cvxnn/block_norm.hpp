// How the penalty measures a block of coefficients, rows a feature and columns an output.
#pragma once

#include <memory>
#include <string>

#include "cvxnn/types.hpp"

namespace cvxnn {

// At least the Frobenius norm, value(W) >= ||W||_F, so that dual(G) <= ||G||_F: screening and gaps
// take that for a bound.
class BlockNorm {
 public:
  virtual ~BlockNorm() = default;

  virtual double value(ConstMatrixRef W) const = 0;

  // max <G, W> over value(W) <= 1.
  virtual double dual(ConstMatrixRef G) const = 0;

  // W <- argmin_V 1/2 ||V - W||_F^2 + cut value(V); exactly zero if dual(W) <= cut.
  virtual void shrink(double cut, MatrixRef W) const = 0;

  // Whether it is the Frobenius norm, which block updates and Newton steps rely on.
  virtual bool frobenius() const { return false; }
};

// frobenius, of the group lasso; nuclear, the sum of singular values, of networks whose neurons
// each feed all outputs (Sahiner, Ergen, Pauly and Pilanci 2021, sec. 3); columns, the sum of the
// norms of columns, of networks whose neurons each feed one. These coincide for one output.
// sparse_group: (1 - l1_ratio) ||W||_F + l1_ratio sum |W_jk|, zeros inside blocks too (Simon,
// Friedman, Hastie and Tibshirani 2013); l1_ratio, in [0, 1), is that norm's alone. rows is the
// nuclear norm's: it takes a block for a matrix of so many rows, in column-major order, of networks
// whose neurons feed several outputs at several positions; 0 is for the rows that a block has.
std::shared_ptr<const BlockNorm> block_norm(const std::string& name, double l1_ratio = 0.0,
                                            Index rows = 0);

}  // namespace cvxnn
