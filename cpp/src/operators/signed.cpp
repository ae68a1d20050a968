#include "cvxnn/operators/signed.hpp"

#include <algorithm>

namespace cvxnn {

SignedDesign::SignedDesign(std::unique_ptr<Operator> base, ActivationCones cones)
    : base_(std::move(base)), cones_(std::move(cones)) {}

std::vector<Index> SignedDesign::patterns(const std::vector<Index>& blocks) const {
  std::vector<Index> out(blocks);
  for (Index& b : out) b = pattern(b);
  return out;
}

Vector SignedDesign::signed_coefs(const std::vector<Index>& blocks, const double* coefs,
                                  Index n_outputs) const {
  Index size = 0;
  for (const Index b : blocks) size += block_size(b) * n_outputs;
  Vector out = Eigen::Map<const Vector>(coefs, size);
  Index start = 0;
  for (const Index b : blocks) {
    const Index length = block_size(b) * n_outputs;
    out.segment(start, length) *= sign(b);
    start += length;
  }
  return out;
}

// A pattern whose two blocks are asked for is computed once.
void SignedDesign::gradients(const std::vector<Index>& blocks, ConstMatrixRef R,
                             Precision precision, Control& control, double* out) const {
  std::vector<Index> distinct;
  std::vector<Index> starts(base_->n_blocks(), -1);
  Index size = 0;
  for (const Index b : blocks) {
    const Index p = pattern(b);
    if (starts[p] >= 0) continue;
    distinct.push_back(p);
    starts[p] = size;
    size += block_size(b) * R.cols();
  }
  Vector values(size);
  base_->gradients(distinct, R, precision, control, values.data());
  for (const Index b : blocks) {
    const Index length = block_size(b) * R.cols();
    Eigen::Map<Vector>(out, length) = sign(b) * values.segment(starts[pattern(b)], length);
    out += length;
  }
}

void SignedDesign::forward(const std::vector<Index>& blocks, const double* coefs,
                           Precision precision, MatrixRef F) const {
  base_->forward(patterns(blocks), signed_coefs(blocks, coefs, F.cols()).data(), precision, F);
}

void SignedDesign::gradient(Index block, ConstMatrixRef R, MatrixRef out) const {
  base_->gradient(pattern(block), R, out);
  out *= sign(block);
}

void SignedDesign::step(Index block, ConstMatrixRef W, ConstVectorRef h, MatrixRef F,
                        MatrixRef R) const {
  base_->step(pattern(block), sign(block) * W, h, F, R);
}

void SignedDesign::gram(Index block, ConstVectorRef h, MatrixRef H) const {
  base_->gram(pattern(block), h, H);
}

void SignedDesign::sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales,
                               Control& control, MatrixRef S) const {
  base_->sample_gram(patterns(blocks), scales, control, S);
}

void SignedDesign::images(const std::vector<Index>& blocks, const double* coefs, Index first,
                          MatrixRef out) const {
  base_->images(patterns(blocks), coefs, first, out);
  for (Index j = 0; j < out.cols(); ++j) out.col(j) *= sign(blocks[j]);
}

void SignedDesign::squared_norms(ConstVectorRef h, VectorRef out) const {
  const Index P = base_->n_blocks();
  base_->squared_norms(h, out.head(P));
  out.tail(P) = out.head(P);
}

void SignedDesign::dense_block(Index block, MatrixRef out) const {
  base_->dense_block(pattern(block), out);
  out *= sign(block);
}

void SignedDesign::reference_gradients(Index first, Index count, ConstMatrixRef R,
                                       double* out) const {
  while (count > 0) {
    const Index here = std::min(count, base_->n_blocks() - pattern(first));
    base_->reference_gradients(pattern(first), here, R, out);
    Index size = 0;
    for (Index b = first; b < first + here; ++b) size += block_size(b) * R.cols();
    Eigen::Map<Vector>(out, size) *= sign(first);
    out += size;
    first += here;
    count -= here;
  }
}

void SignedDesign::reference_forward(const std::vector<Index>& blocks, const double* coefs,
                                     MatrixRef F) const {
  base_->reference_forward(patterns(blocks), signed_coefs(blocks, coefs, F.cols()).data(), F);
}

}  // namespace cvxnn
