#include "cvxnn/activation_cones.hpp"

#include <algorithm>

#include "cvxnn/cone_projection.hpp"
#include "cvxnn/errors.hpp"

namespace cvxnn {
namespace {

// Unit copies of the rows that are not zero, and which they are.
template <class T>
DataMatrix<double> unit_rows(const DataMap<T>& x, std::vector<Index>& kept) {
  DataMatrix<double> rows(x.rows(), x.cols());
  for (Index i = 0; i < x.rows(); ++i) {
    const Index row = static_cast<Index>(kept.size());
    rows.row(row) = x.row(i).template cast<double>();
    rows.row(row).stableNormalize();
    if (!rows.row(row).isZero(0.0)) kept.push_back(i);
  }
  rows.conservativeResize(static_cast<Index>(kept.size()), x.cols());
  return rows;
}

}  // namespace

template <class T>
ActivationCones::ActivationCones(const DataMap<T>& x, const PatternView& patterns)
    : patterns_(patterns) {
  rows_.push_back(unit_rows(x, samples_));
}

template <class T>
ActivationCones::ActivationCones(const DataMap<T>& stacked, const std::vector<Index>& starts) {
  require(starts.size() >= 2 && starts.front() == 0 && starts.back() == stacked.rows() &&
              std::is_sorted(starts.begin(), starts.end()),
          "starts must ascend from 0 to the number of stacked rows");
  for (std::size_t p = 0; p + 1 < starts.size(); ++p) {
    std::vector<Index> kept;
    const Index count = starts[p + 1] - starts[p];
    rows_.push_back(unit_rows(middle_rows(stacked, starts[p], count), kept));
  }
}

void ActivationCones::signs(Index block, VectorRef out) const {
  out.setOnes();
  if (patterns_.n_patterns == 0) return;
  const Index p = block % patterns_.n_patterns;
  Index w = -1;
  Word bits = 0;
  for (Index k = 0; k < out.size(); ++k) {
    const Index i = samples_[k];
    if (i / kWordBits != w) {
      w = i / kWordBits;
      bits = patterns_.word(w, p);
    }
    out[k] = static_cast<double>((bits >> (i % kWordBits)) & 1U) * 2.0 - 1.0;
  }
}

double LastProjection::bound(ConstVectorRef a) const {
  const double along = polar.size() > 0 ? polar.dot(a) : 0.0;
  return along > 0.0 ? (a - along * polar).norm() : a.norm();
}

bool ActivationCones::project(Index block, VectorRef a, LastProjection* last, double enough) const {
  constexpr double kMoved = 1e-3;  // of ||a||: the difference to a then has most of its digits
  const DataMatrix<double>& x = rows(block);
  if (x.rows() == 0) return true;
  Vector s(x.rows());
  signs(block, s);
  ConeProjection projection(x.cols());
  if (last == nullptr) return projection.resume(x, s, a, enough);
  projection.begin_with(x, s, last->walls);
  const Vector before = a;
  const bool inside = projection.resume(x, s, a, enough);
  last->walls = projection.passive();
  last->polar = before - a;
  const double moved = last->polar.norm();
  if (moved > kMoved * before.norm()) {
    last->polar /= moved;
  } else {
    last->polar.resize(0);
  }
  return inside;
}

template ActivationCones::ActivationCones(const DataMap<float>&, const PatternView&);
template ActivationCones::ActivationCones(const DataMap<double>&, const PatternView&);
template ActivationCones::ActivationCones(const DataMap<float>&, const std::vector<Index>&);
template ActivationCones::ActivationCones(const DataMap<double>&, const std::vector<Index>&);

}  // namespace cvxnn
