// The Gram matrix of the features that blocks are masks of.
#pragma once

#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// G = X^T diag(h) X and its spectrum, each made when first needed.
class FeatureSpectrum {
 public:
  // features: null where blocks have none in common, and then nothing below is called.
  explicit FeatureSpectrum(const CommonFeatures* features) : features_(features) {}

  // h has changed.
  void clear();
  void prepare(ConstVectorRef h);
  bool ready() const { return gram_.size() > 0; }

  const Matrix& gram() const { return gram_; }
  const Vector& values();  // ascending, not negative
  const Matrix& vectors();

 private:
  void diagonalise();

  const CommonFeatures* features_;
  Matrix gram_, vectors_;
  Vector values_;
};

}  // namespace cvxnn
