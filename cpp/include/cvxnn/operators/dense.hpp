// Ordinary groups of columns: the group lasso proper.
#pragma once

#include "cvxnn/operators/operator.hpp"

namespace cvxnn {

// A_b = columns [starts[b], starts[b + 1]) of a view of X that the caller keeps alive.
template <class T>
class DenseDesign final : public Operator {
 public:
  DenseDesign(const DataMap<T>& x, std::vector<Index> starts, int n_threads);

  Index n_samples() const override { return x_.rows(); }
  Index n_blocks() const override { return static_cast<Index>(starts_.size()) - 1; }
  Index block_size(Index block) const override { return starts_[block + 1] - starts_[block]; }

  void gradients(const std::vector<Index>& blocks, ConstMatrixRef R, Precision precision,
                 Control& control, double* out) const override;
  void forward(const std::vector<Index>& blocks, const double* coefs, Precision precision,
               MatrixRef F) const override;
  void gradient(Index block, ConstMatrixRef R, MatrixRef out) const override;
  void step(Index block, ConstMatrixRef W, ConstVectorRef h, MatrixRef F,
            MatrixRef R) const override;
  void gram(Index block, ConstVectorRef h, MatrixRef H) const override;
  void sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales, Control& control,
                   MatrixRef S) const override;
  void images(const std::vector<Index>& blocks, const double* coefs, Index first,
              MatrixRef out) const override;
  void squared_norms(ConstVectorRef h, VectorRef out) const override;
  double curvature_bound(ConstVectorRef h) const override;
  void dense_block(Index block, MatrixRef out) const override;
  void reference_gradients(Index first, Index count, ConstMatrixRef R, double* out) const override;
  void reference_forward(const std::vector<Index>& blocks, const double* coefs,
                         MatrixRef F) const override;

 private:
  auto columns(Index block) const { return x_.middleCols(starts_[block], block_size(block)); }

  DataMap<T> x_;
  std::vector<Index> starts_;
  int n_threads_;
};

extern template class DenseDesign<float>;
extern template class DenseDesign<double>;

}  // namespace cvxnn
