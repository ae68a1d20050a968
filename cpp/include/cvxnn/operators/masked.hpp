// The gated design [D_1 X ... D_P X], never materialised: data and one bit a sample and pattern.
#pragma once

#include <memory>
#include <type_traits>

#include "cvxnn/operators/pattern_design.hpp"

namespace cvxnn {

// Views of data and patterns that the caller keeps alive.
template <class T>
class MaskedDesign final : public PatternDesign {
 public:
  MaskedDesign(const DataMap<T>& x, const PatternView& patterns, int n_threads);
  ~MaskedDesign() override;

  bool float_products() const override { return std::is_same_v<T, float>; }
  void feature_gram(ConstVectorRef h, MatrixRef G) const override;

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
  double curvature_bound(ConstVectorRef h) const override;
  void dense_block(Index block, MatrixRef out) const override;
  void reference_gradients(Index first, Index count, ConstMatrixRef R, double* out) const override;
  void reference_forward(const std::vector<Index>& blocks, const double* coefs,
                         MatrixRef F) const override;

 private:
  struct Scratch;

  Vector row_energies() const override;

  DataMap<T> x_;
  std::unique_ptr<Scratch> scratch_;
};

extern template class MaskedDesign<float>;
extern template class MaskedDesign<double>;

}  // namespace cvxnn
