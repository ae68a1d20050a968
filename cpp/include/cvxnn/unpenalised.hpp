// The unpenalised block A_0 W_0: an intercept, a linear skip connection, patterns of weight zero.
#pragma once

#include <Eigen/QR>

#include "cvxnn/types.hpp"

namespace cvxnn {

// V less its part in the span of orthonormal columns.
inline void project_out(const Matrix& columns, MatrixRef V) {
  if (columns.cols() > 0) V -= columns * (columns.transpose() * V);
}

// A_0 is dense and owned. With h the curvature of the loss model, both uses are least squares in
// the metric of h, through one rank-revealing QR of diag(h)^(1/2) A_0.
class Unpenalised {
 public:
  Unpenalised(Matrix columns, Index n_outputs);

  Index size() const { return columns_.cols(); }
  const Matrix& columns() const { return columns_; }
  Matrix& coefs() { return coefs_; }  // size x n_outputs
  const Matrix& coefs() const { return coefs_; }

  void set_curvature(ConstVectorRef h);

  // Orthonormal columns that span diag(h)^(1/2) A_0.
  const Matrix& basis() const { return basis_; }

  // W_0 exactly minimised in the model: W_0 += delta, F += A_0 delta, R -= diag(h) A_0 delta.
  void fit(MatrixRef F, MatrixRef R);

  // Theta becomes dual feasible, A_0^T Theta = 0: the nearest point in the metric of 1/h, which
  // changes small entries little and so stays inside the domain of the conjugate.
  void project(MatrixRef Theta) const;

  // The same in the metric of 1 / |Theta|, each output by itself: entries of zero stay, and no sign
  // changes unless Theta is far from feasible. For outputs that h does not tell apart.
  void project_relative(MatrixRef Theta) const;

  // V becomes orthogonal to diag(h)^(1/2) A_0.
  void project_weighted(MatrixRef V);

  // Whether A_0^T Theta = 0 to rounding: an unpenalised block leaves no slack.
  bool orthogonal(ConstMatrixRef Theta) const;

 private:
  Matrix columns_;
  Matrix coefs_;
  Vector root_;  // h^(1/2)
  Vector scale_;
  Index rank_ = 0;
  Eigen::ColPivHouseholderQR<Matrix> qr_;
  Matrix basis_;  // orthonormal columns, n_samples x rank
  Matrix rotated_, delta_, shift_;
};

}  // namespace cvxnn
