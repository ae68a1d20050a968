// Both signs of a masked design, [A, -A], each block in its pattern's cone: the ReLU program.
#pragma once

#include <memory>

#include "cvxnn/activation_cones.hpp"
#include "cvxnn/operators/operator.hpp"

namespace cvxnn {

// Blocks 0 .. P - 1 are those of `base`, neurons with a positive output weight, blocks P .. 2 P - 1
// their negatives (Pilanci and Ergen 2020, eq. 8).
class SignedDesign final : public Operator {
 public:
  SignedDesign(std::unique_ptr<Operator> base, ActivationCones cones);

  Index n_samples() const override { return base_->n_samples(); }
  Index n_blocks() const override { return 2 * base_->n_blocks(); }
  Index block_size(Index block) const override { return base_->block_size(pattern(block)); }

  bool float_products() const override { return base_->float_products(); }
  const ActivationCones* cones() const override { return &cones_; }

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
  double curvature_bound(ConstVectorRef h) const override { return base_->curvature_bound(h); }
  void dense_block(Index block, MatrixRef out) const override;
  void reference_gradients(Index first, Index count, ConstMatrixRef R, double* out) const override;
  void reference_forward(const std::vector<Index>& blocks, const double* coefs,
                         MatrixRef F) const override;

 private:
  Index pattern(Index block) const { return block % base_->n_blocks(); }
  double sign(Index block) const { return block < base_->n_blocks() ? 1.0 : -1.0; }
  std::vector<Index> patterns(const std::vector<Index>& blocks) const;
  Vector signed_coefs(const std::vector<Index>& blocks, const double* coefs, Index n_outputs) const;

  std::unique_ptr<Operator> base_;
  ActivationCones cones_;
};

}  // namespace cvxnn
