#include "cvxnn/activation_cones.hpp"

#include "cvxnn/cone_projection.hpp"

namespace cvxnn {

template <class T>
ActivationCones::ActivationCones(const DataMap<T>& x, const PatternView& patterns)
    : rows_(x.rows(), x.cols()), patterns_(patterns) {
  for (Index i = 0; i < x.rows(); ++i) {
    const Index row = static_cast<Index>(samples_.size());
    rows_.row(row) = x.row(i).template cast<double>();
    rows_.row(row).stableNormalize();
    if (!rows_.row(row).isZero(0.0)) samples_.push_back(i);
  }
  rows_.conservativeResize(static_cast<Index>(samples_.size()), x.cols());
}

void ActivationCones::signs(Index block, VectorRef out) const {
  const Index p = block % patterns_.n_patterns;
  for (Index k = 0; k < rows_.rows(); ++k) out[k] = patterns_.bit(samples_[k], p) ? 1.0 : -1.0;
}

bool ActivationCones::project(Index block, VectorRef a, std::vector<Index>* walls,
                              double enough) const {
  if (rows_.rows() == 0) return true;
  Vector s(rows_.rows());
  signs(block, s);
  ConeProjection projection(rows_.cols());
  if (walls != nullptr) projection.begin_with(rows_, s, *walls);
  const bool inside = projection.resume(rows_, s, a, enough);
  if (walls != nullptr) *walls = projection.passive();
  return inside;
}

template ActivationCones::ActivationCones(const DataMap<float>&, const PatternView&);
template ActivationCones::ActivationCones(const DataMap<double>&, const PatternView&);

}  // namespace cvxnn
