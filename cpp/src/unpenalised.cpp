#include "cvxnn/unpenalised.hpp"

namespace cvxnn {

Unpenalised::Unpenalised(Matrix columns, Index n_outputs)
    : columns_(std::move(columns)),
      coefs_(Matrix::Zero(columns_.cols(), n_outputs)),
      delta_(columns_.cols(), n_outputs),
      shift_(columns_.rows(), n_outputs) {}

void Unpenalised::set_curvature(ConstVectorRef h) {
  if (size() == 0) return;
  root_ = h.cwiseSqrt();
  Matrix weighted = root_.asDiagonal() * columns_;
  // Equal column norms: the rank must not depend on the units of a feature.
  scale_ = weighted.colwise().norm();
  scale_ = (scale_.array() > 0.0).select(scale_.cwiseInverse(), 0.0);
  weighted = weighted * scale_.asDiagonal();
  qr_.compute(weighted);
  rank_ = qr_.rank();
  basis_ = Matrix::Identity(columns_.rows(), rank_);
  basis_.applyOnTheLeft(qr_.householderQ());
  rotated_.resize(rank_, coefs_.cols());
}

void Unpenalised::fit(MatrixRef F, MatrixRef R) {
  if (size() == 0) return;
  shift_ = (root_.array() > 0.0).select(root_.cwiseInverse(), 0.0).asDiagonal() * R;
  rotated_.noalias() = basis_.transpose() * shift_;
  qr_.matrixR().topLeftCorner(rank_, rank_).triangularView<Eigen::Upper>().solveInPlace(rotated_);
  delta_.setZero();
  for (Index j = 0; j < rank_; ++j) {
    const Index column = qr_.colsPermutation().indices()[j];
    delta_.row(column) = scale_[column] * rotated_.row(j);
  }
  coefs_ += delta_;
  shift_.noalias() = columns_ * delta_;
  F += shift_;
  R.noalias() -= root_.cwiseAbs2().asDiagonal() * shift_;
}

void Unpenalised::project(MatrixRef Theta) const {
  if (size() == 0) return;
  const Vector inverse = (root_.array() > 0.0).select(root_.cwiseInverse(), 0.0);
  Matrix phi = inverse.asDiagonal() * Theta;
  for (int pass = 0; pass < 2; ++pass) {  // the second removes the rounding of the first
    phi -= basis_ * (basis_.transpose() * phi);
  }
  Theta = root_.asDiagonal() * phi;
}

void Unpenalised::project_relative(MatrixRef Theta) const {
  if (size() == 0) return;
  for (Index k = 0; k < Theta.cols(); ++k) {
    const Vector root = Theta.col(k).cwiseAbs().cwiseSqrt();
    Matrix weighted = root.asDiagonal() * columns_;
    const Eigen::RowVectorXd norms = weighted.colwise().norm();
    weighted *= (norms.array() > 0.0).select(norms.cwiseInverse(), 0.0).asDiagonal();
    const Eigen::ColPivHouseholderQR<Matrix> qr(weighted);
    Matrix basis = Matrix::Identity(columns_.rows(), qr.rank());
    basis.applyOnTheLeft(qr.householderQ());
    Vector phi = Theta.col(k).cwiseSign().cwiseProduct(root);
    for (int pass = 0; pass < 2; ++pass) phi -= basis * (basis.transpose() * phi);
    Theta.col(k) = root.cwiseProduct(phi);
  }
}

void Unpenalised::project_weighted(MatrixRef V) {
  if (size() == 0) return;
  for (int pass = 0; pass < 2; ++pass) {
    rotated_.noalias() = basis_.transpose() * V;
    V.noalias() -= basis_ * rotated_;
  }
}

bool Unpenalised::orthogonal(ConstMatrixRef Theta) const {
  constexpr double kTolerance = 1e-9;
  for (Index j = 0; j < size(); ++j) {
    const double scale = columns_.col(j).norm() * Theta.norm();
    if ((columns_.col(j).transpose() * Theta).norm() > kTolerance * scale) return false;
  }
  return true;
}

}  // namespace cvxnn
