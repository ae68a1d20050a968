#include "cvxnn/feature_spectrum.hpp"

#include "cvxnn/symmetric_eigen.hpp"

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
  symmetric_eigen(gram_, values_, vectors_);
  values_ = values_.cwiseMax(0.0);
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
