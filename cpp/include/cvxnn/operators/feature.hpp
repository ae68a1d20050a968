// The gated design with its columns grouped by feature: what selects features of the data.
#pragma once

#include <memory>

#include "cvxnn/operators/masked.hpp"

namespace cvxnn {

// Block j is diag(x_j) M for feature j and the 0/1 matrix M of patterns (n_samples x n_patterns):
// row p of its coefficients is row j of pattern p's. Views that the caller keeps alive.
template <class T>
class FeatureDesign final : public Operator {
 public:
  FeatureDesign(const DataMap<T>& x, const PatternView& patterns, int n_threads);
  ~FeatureDesign() override;

  Index n_samples() const override { return x_.rows(); }
  Index n_blocks() const override { return x_.cols(); }
  Index block_size(Index) const override { return patterns_.n_patterns; }

  bool float_products() const override { return std::is_same_v<T, float>; }

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
  struct Selection;  // the data of a list of features, by pattern

  Selection& select(const std::vector<Index>& blocks) const;
  double value(Index i, Index j) const { return static_cast<double>(x_(i, j)); }
  // Rows first, first + 1 ... of M.
  void masks(Index first, MatrixRef out) const;

  DataMap<T> x_;
  PatternView patterns_;
  int n_threads_;
  std::vector<Index> all_patterns_;
  DataMatrix<double> ones_;
  MaskedDesign<double> counts_;  // of a column of ones: M itself
  std::unique_ptr<Selection> selection_;
};

extern template class FeatureDesign<float>;
extern template class FeatureDesign<double>;

}  // namespace cvxnn
