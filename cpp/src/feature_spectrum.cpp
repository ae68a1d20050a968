#include "cvxnn/feature_spectrum.hpp"

#include <Eigen/Eigenvalues>

namespace cvxnn {

void FeatureSpectrum::clear() {
  gram_.resize(0, 0);
  vectors_.resize(0, 0);
}

void FeatureSpectrum::prepare(ConstVectorRef h) {
  if (ready()) return;
  const Index d = features_->n_features();
  gram_.resize(d, d);
  features_->feature_gram(h, gram_);
}

void FeatureSpectrum::diagonalise() {
  if (vectors_.size() > 0) return;
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(gram_);
  values_ = eigen.eigenvalues().cwiseMax(0.0);
  vectors_ = eigen.eigenvectors();
}

const Vector& FeatureSpectrum::values() {
  diagonalise();
  return values_;
}

const Matrix& FeatureSpectrum::vectors() {
  diagonalise();
  return vectors_;
}

}  // namespace cvxnn
