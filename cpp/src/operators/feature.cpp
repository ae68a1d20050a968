#include "cvxnn/operators/feature.hpp"

#include <algorithm>
#include <numeric>

#include "cvxnn/power_iteration.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr Index kRows = 256;  // of a strip of unpacked masks
}

// Products over a list are those of its columns of the data over all patterns, transposed. The last
// list is kept: solver loops ask for the same one again and again.
template <class T>
struct FeatureDesign<T>::Selection {
  std::vector<Index> features;
  DataMatrix<T> columns;
  std::unique_ptr<MaskedDesign<T>> design;
  Vector by_pattern;  // a block a pattern, features x n_outputs each

  // What a block a feature, patterns x n_outputs each, is in it.
  MatrixMap rows(Index n_patterns, Index n_outputs) {
    const Index size = static_cast<Index>(features.size()) * n_outputs;
    by_pattern.resize(size * n_patterns);
    return MatrixMap(by_pattern.data(), size, n_patterns);
  }
};

template <class T>
FeatureDesign<T>::FeatureDesign(const DataMap<T>& x, const PatternView& patterns, int n_threads)
    : x_(x),
      patterns_(patterns),
      n_threads_(n_threads),
      all_patterns_(static_cast<std::size_t>(patterns.n_patterns)),
      ones_(DataMatrix<double>::Ones(x.rows(), 1)),
      counts_(DataMap<double>(ones_.data(), x.rows(), 1), patterns, n_threads),
      selection_(std::make_unique<Selection>()) {
  std::iota(all_patterns_.begin(), all_patterns_.end(), Index{0});
}

template <class T>
FeatureDesign<T>::~FeatureDesign() = default;

template <class T>
auto FeatureDesign<T>::select(const std::vector<Index>& blocks) const -> Selection& {
  Selection& selection = *selection_;
  if (selection.design != nullptr && selection.features == blocks) return selection;
  selection.features = blocks;
  selection.columns.resize(x_.rows(), static_cast<Index>(blocks.size()));
  for (Index i = 0; i < x_.rows(); ++i) {
    for (std::size_t j = 0; j < blocks.size(); ++j) selection.columns(i, j) = x_(i, blocks[j]);
  }
  selection.design = std::make_unique<MaskedDesign<T>>(
      DataMap<T>(selection.columns.data(), x_.rows(), selection.columns.cols()), patterns_,
      n_threads_);
  return selection;
}

template <class T>
void FeatureDesign<T>::gradients(const std::vector<Index>& blocks, ConstMatrixRef R,
                                 Precision precision, Control& control, double* out) const {
  if (blocks.empty()) return;
  Selection& selection = select(blocks);
  const Index m = static_cast<Index>(blocks.size()), n_patterns = patterns_.n_patterns;
  const MatrixMap G = selection.rows(n_patterns, R.cols());
  selection.design->gradients(all_patterns_, R, precision, control, selection.by_pattern.data());
  for (Index j = 0; j < m; ++j) {
    for (Index k = 0; k < R.cols(); ++k) {
      Eigen::Map<Vector>(out, n_patterns) = G.row(k * m + j);
      out += n_patterns;
    }
  }
}

template <class T>
void FeatureDesign<T>::forward(const std::vector<Index>& blocks, const double* coefs,
                               Precision precision, MatrixRef F) const {
  if (blocks.empty()) {
    F.setZero();
    return;
  }
  Selection& selection = select(blocks);
  const Index m = static_cast<Index>(blocks.size()), n_patterns = patterns_.n_patterns;
  MatrixMap W = selection.rows(n_patterns, F.cols());
  for (Index j = 0; j < m; ++j) {
    for (Index k = 0; k < F.cols(); ++k) {
      W.row(k * m + j) = Eigen::Map<const Vector>(coefs, n_patterns);
      coefs += n_patterns;
    }
  }
  selection.design->forward(all_patterns_, selection.by_pattern.data(), precision, F);
}

template <class T>
void FeatureDesign<T>::gradient(Index block, ConstMatrixRef R, MatrixRef out) const {
  out.setZero();
  for (Index p = 0; p < patterns_.n_patterns; ++p) {
    patterns_.for_each_active(p, [&](Index i) { out.row(p) += value(i, block) * R.row(i); });
  }
}

template <class T>
void FeatureDesign<T>::step(Index block, ConstMatrixRef W, ConstVectorRef h, MatrixRef F,
                            MatrixRef R) const {
  for (Index p = 0; p < patterns_.n_patterns; ++p) {
    if (W.row(p).isZero(0.0)) continue;
    patterns_.for_each_active(p, [&](Index i) {
      F.row(i) += value(i, block) * W.row(p);
      R.row(i) -= h[i] * value(i, block) * W.row(p);
    });
  }
}

template <class T>
void FeatureDesign<T>::masks(Index first, MatrixRef out) const {
  for (Index p = 0; p < out.cols(); ++p) {
    for (Index i = 0; i < out.rows(); ++i) out(i, p) = patterns_.bit(first + i, p) ? 1.0 : 0.0;
  }
}

template <class T>
void FeatureDesign<T>::gram(Index block, ConstVectorRef h, MatrixRef H) const {
  Matrix rows(kRows, patterns_.n_patterns);
  H.setZero();
  for (Index i0 = 0; i0 < x_.rows(); i0 += kRows) {
    auto strip = rows.topRows(std::min(kRows, x_.rows() - i0));
    masks(i0, strip);
    for (Index i = 0; i < strip.rows(); ++i) {
      strip.row(i) *= std::sqrt(h[i0 + i]) * value(i0 + i, block);
    }
    H.selfadjointView<Eigen::Lower>().rankUpdate(strip.transpose());
  }
  H.triangularView<Eigen::StrictlyUpper>() = H.transpose();
}

// (M M^T) o (sum_j scales_j x_j x_j^T).
template <class T>
void FeatureDesign<T>::sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales,
                                   Control& control, MatrixRef S) const {
  const Index n = x_.rows(), m = static_cast<Index>(blocks.size());
  counts_.sample_gram(all_patterns_, Vector::Ones(patterns_.n_patterns), control, S);
  Matrix scaled(n, m);
  for (Index j = 0; j < m; ++j) {
    for (Index i = 0; i < n; ++i) scaled(i, j) = std::sqrt(scales[j]) * value(i, blocks[j]);
  }
  parallel_for((n + kRows - 1) / kRows, n_threads_, [&](Index task, int) {
    const Index i0 = task * kRows, rows = std::min(kRows, n - i0), cols = i0 + rows;
    const Matrix products = scaled.middleRows(i0, rows) * scaled.topRows(cols).transpose();
    S.block(i0, 0, rows, cols).array() *= products.array();
  });
  control.poll();
}

template <class T>
void FeatureDesign<T>::images(const std::vector<Index>& blocks, const double* coefs, Index first,
                              MatrixRef out) const {
  const ConstMatrixMap W(coefs, patterns_.n_patterns, static_cast<Index>(blocks.size()));
  Matrix rows(std::min(kRows, out.rows()), patterns_.n_patterns);
  for (Index i0 = 0; i0 < out.rows(); i0 += kRows) {
    const Index used = std::min(kRows, out.rows() - i0);
    masks(first + i0, rows.topRows(used));
    out.middleRows(i0, used).noalias() = rows.topRows(used) * W;
  }
  for (Index j = 0; j < out.cols(); ++j) {
    for (Index i = 0; i < out.rows(); ++i) out(i, j) *= value(first + i, blocks[j]);
  }
}

template <class T>
void FeatureDesign<T>::squared_norms(ConstVectorRef h, VectorRef out) const {
  Matrix active(x_.rows(), 1);  // patterns of each sample
  counts_.reference_forward(all_patterns_, Vector::Ones(patterns_.n_patterns).eval().data(),
                            active);
  for (Index j = 0; j < x_.cols(); ++j) {
    out[j] = 0.0;
    for (Index i = 0; i < x_.rows(); ++i) {
      out[j] += h[i] * active(i, 0) * value(i, j) * value(i, j);
    }
  }
}

// That of M^T diag(h max_j x_j^2) M, which is above every block's.
template <class T>
double FeatureDesign<T>::curvature_bound(ConstVectorRef h) const {
  Vector largest(x_.rows());
  for (Index i = 0; i < x_.rows(); ++i) {
    const double norm = x_.row(i).template lpNorm<Eigen::Infinity>();
    largest[i] = h[i] * norm * norm;
  }
  Matrix samples(x_.rows(), 1);
  Control control;
  return largest_eigenvalue(Vector::Ones(patterns_.n_patterns), [&](const Vector& v, Vector& w) {
    counts_.forward(all_patterns_, v.data(), Precision::accurate, samples);
    samples.array() *= largest.array();
    counts_.gradients(all_patterns_, samples, Precision::accurate, control, w.data());
  });
}

template <class T>
void FeatureDesign<T>::dense_block(Index block, MatrixRef out) const {
  masks(0, out);
  for (Index i = 0; i < x_.rows(); ++i) out.row(i) *= value(i, block);
}

template <class T>
void FeatureDesign<T>::reference_gradients(Index first, Index count, ConstMatrixRef R,
                                           double* out) const {
  const Index n = x_.rows(), n_outputs = R.cols();
  MatrixMap G(out, patterns_.n_patterns, n_outputs * count);
  G.setZero();
  Matrix rows(kRows, patterns_.n_patterns), scaled(kRows, n_outputs * count);
  for (Index i0 = 0; i0 < n; i0 += kRows) {
    const Index used = std::min(kRows, n - i0);
    masks(i0, rows.topRows(used));
    for (Index j = 0; j < count; ++j) {
      for (Index i = 0; i < used; ++i) {
        for (Index k = 0; k < n_outputs; ++k) {
          scaled(i, j * n_outputs + k) = value(i0 + i, first + j) * R(i0 + i, k);
        }
      }
    }
    G.noalias() += rows.topRows(used).transpose() * scaled.topRows(used);
  }
}

template <class T>
void FeatureDesign<T>::reference_forward(const std::vector<Index>& blocks, const double* coefs,
                                         MatrixRef F) const {
  const Index n = x_.rows(), n_outputs = F.cols(), count = static_cast<Index>(blocks.size());
  const ConstMatrixMap W(coefs, patterns_.n_patterns, n_outputs * count);
  Matrix rows(kRows, patterns_.n_patterns), scores(kRows, n_outputs * count);
  F.setZero();
  for (Index i0 = 0; i0 < n; i0 += kRows) {
    const Index used = std::min(kRows, n - i0);
    masks(i0, rows.topRows(used));
    scores.topRows(used).noalias() = rows.topRows(used) * W;
    for (Index j = 0; j < count; ++j) {
      for (Index i = 0; i < used; ++i) {
        F.row(i0 + i) += value(i0 + i, blocks[j]) * scores.row(i).segment(j * n_outputs, n_outputs);
      }
    }
  }
}

template class FeatureDesign<float>;
template class FeatureDesign<double>;

}  // namespace cvxnn
