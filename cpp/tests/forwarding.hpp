// An operator that passes everything on: a base for operators that watch or interrupt a solver.
#pragma once

#include "cvxnn/operators/operator.hpp"

namespace cvxnn::testing {

class Forwarding : public Operator {
 public:
  explicit Forwarding(const Operator& op) : op_(op) {}

  Index n_samples() const override { return op_.n_samples(); }
  Index n_blocks() const override { return op_.n_blocks(); }
  Index block_size(Index b) const override { return op_.block_size(b); }
  void gradients(const std::vector<Index>& blocks, ConstMatrixRef R, Precision precision,
                 Control& control, double* out) const override {
    op_.gradients(blocks, R, precision, control, out);
  }
  void forward(const std::vector<Index>& blocks, const double* coefs, Precision precision,
               MatrixRef F) const override {
    op_.forward(blocks, coefs, precision, F);
  }
  void gradient(Index b, ConstMatrixRef R, MatrixRef out) const override {
    op_.gradient(b, R, out);
  }
  void step(Index b, ConstMatrixRef W, ConstVectorRef h, MatrixRef F, MatrixRef R) const override {
    op_.step(b, W, h, F, R);
  }
  void gram(Index b, ConstVectorRef h, MatrixRef H) const override { op_.gram(b, h, H); }
  void sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales, Control& control,
                   MatrixRef S) const override {
    op_.sample_gram(blocks, scales, control, S);
  }
  void images(const std::vector<Index>& blocks, const double* coefs, Index first,
              MatrixRef out) const override {
    op_.images(blocks, coefs, first, out);
  }
  double curvature_bound(ConstVectorRef h) const override { return op_.curvature_bound(h); }
  void squared_norms(ConstVectorRef h, VectorRef out) const override { op_.squared_norms(h, out); }
  void dense_block(Index b, MatrixRef out) const override { op_.dense_block(b, out); }
  void reference_gradients(Index first, Index count, ConstMatrixRef R, double* out) const override {
    op_.reference_gradients(first, count, R, out);
  }
  void reference_forward(const std::vector<Index>& blocks, const double* coefs,
                         MatrixRef F) const override {
    op_.reference_forward(blocks, coefs, F);
  }

 protected:
  const Operator& op_;
};

}  // namespace cvxnn::testing
