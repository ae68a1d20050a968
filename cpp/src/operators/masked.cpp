#include "cvxnn/operators/masked.hpp"

#include <algorithm>
#include <type_traits>

#include "cvxnn/kernels/masked_product.hpp"
#include "cvxnn/kernels/sample_gram.hpp"
#include "cvxnn/power_iteration.hpp"

namespace cvxnn {
namespace {
constexpr Index kReferenceRows = 256;
static_assert(kReferenceRows % kWordBits == 0, "slabs of rows begin at a word");

// Of the residuals r of samples i0, i0 + 1, ... those on which pattern p is active; else zero.
void masked_column(const PatternView& patterns, Index p, Index i0, ConstVectorRef r,
                   VectorRef out) {
  for (Index i = 0; i < r.size(); i += kWordBits) {
    const Word bits = patterns.word((i0 + i) / kWordBits, p);
    const Index here = std::min(kWordBits, r.size() - i);
    for (Index j = 0; j < here; ++j) out[i + j] = ((bits >> j) & 1U) != 0 ? r[i + j] : 0.0;
  }
}
}  // namespace

template <class T>
struct MaskedDesign<T>::Scratch {
  kernels::ProductScratch<T> standard;
  kernels::ProductScratch<double> accurate;
};

template <class T>
MaskedDesign<T>::MaskedDesign(const DataMap<T>& x, const PatternView& patterns, int n_threads)
    : PatternDesign(patterns, x.rows(), x.cols(), n_threads),
      x_(x),
      scratch_(std::make_unique<Scratch>()) {}

template <class T>
MaskedDesign<T>::~MaskedDesign() = default;

template <class T>
void MaskedDesign<T>::feature_gram(ConstVectorRef h, MatrixRef G) const {
  const Index n = x_.rows(), d = x_.cols();
  DataMatrix<double> rows(kReferenceRows, d);
  G.setZero();
  for (Index i0 = 0; i0 < n; i0 += kReferenceRows) {
    const Index used = std::min(kReferenceRows, n - i0);
    auto strip = rows.topRows(used);
    strip = h.segment(i0, used).cwiseSqrt().asDiagonal() *
            x_.middleRows(i0, used).template cast<double>();
    G.selfadjointView<Eigen::Lower>().rankUpdate(strip.transpose());
  }
  G.triangularView<Eigen::StrictlyUpper>() = G.transpose();
}

template <class T>
void MaskedDesign<T>::gradients(const std::vector<Index>& blocks, ConstMatrixRef R,
                                Precision precision, Control& control, double* out) const {
  if constexpr (!std::is_same_v<T, double>) {
    if (precision == Precision::standard) {
      kernels::masked_gradients(x_, patterns_, blocks, R, n_threads_, control, scratch_->standard,
                                out);
      return;
    }
  }
  kernels::masked_gradients(x_, patterns_, blocks, R, n_threads_, control, scratch_->accurate, out);
}

template <class T>
void MaskedDesign<T>::forward(const std::vector<Index>& blocks, const double* coefs,
                              Precision precision, MatrixRef F) const {
  if constexpr (!std::is_same_v<T, double>) {
    if (precision == Precision::standard) {
      kernels::masked_forward(x_, patterns_, blocks, coefs, n_threads_, scratch_->standard, F);
      return;
    }
  }
  kernels::masked_forward(x_, patterns_, blocks, coefs, n_threads_, scratch_->accurate, F);
}

template <class T>
void MaskedDesign<T>::gradient(Index block, ConstMatrixRef R, MatrixRef out) const {
  out.setZero();
  patterns_.for_each_active(block, [&](Index i) {
    for (Index k = 0; k < R.cols(); ++k) {
      out.col(k).noalias() += R(i, k) * x_.row(i).transpose().template cast<double>();
    }
  });
}

template <class T>
void MaskedDesign<T>::step(Index block, ConstMatrixRef W, ConstVectorRef h, MatrixRef F,
                           MatrixRef R) const {
  patterns_.for_each_active(block, [&](Index i) {
    for (Index k = 0; k < F.cols(); ++k) {
      const double f = x_.row(i).transpose().template cast<double>().dot(W.col(k));
      F(i, k) += f;
      R(i, k) -= h[i] * f;
    }
  });
}

template <class T>
void MaskedDesign<T>::gram(Index block, ConstVectorRef h, MatrixRef H) const {
  constexpr Index kRows = 256;
  const Index d = x_.cols();
  DataMatrix<double> rows(kRows, d);
  Index filled = 0;
  H.setZero();
  const auto flush = [&] {
    if (filled == 0) return;  // Eigen divides by the depth of a product
    const auto used = rows.topRows(filled);
    H.selfadjointView<Eigen::Lower>().rankUpdate(used.transpose());
    filled = 0;
  };
  patterns_.for_each_active(block, [&](Index i) {
    rows.row(filled) = std::sqrt(h[i]) * x_.row(i).template cast<double>();
    if (++filled == kRows) flush();
  });
  flush();
  H.triangularView<Eigen::StrictlyUpper>() = H.transpose();
}

template <class T>
void MaskedDesign<T>::sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales,
                                  Control& control, MatrixRef S) const {
  const DataMatrix<double> rows = x_.template cast<double>();
  const auto products = [&](Index first, MatrixRef out) {
    out.noalias() = rows.bottomRows(out.rows()) * rows.middleRows(first, out.cols()).transpose();
  };
  kernels::masked_sample_gram(products, patterns_, blocks, scales, n_threads_, control, S);
}

// A dense product, and then the masks.
template <class T>
void MaskedDesign<T>::images(const std::vector<Index>& blocks, const double* coefs, Index first,
                             MatrixRef out) const {
  const Index d = x_.cols(), count = static_cast<Index>(blocks.size());
  const ConstMatrixMap W(coefs, d, count);
  DataMatrix<double> rows(std::min(kReferenceRows, out.rows()), d);
  for (Index i0 = 0; i0 < out.rows(); i0 += kReferenceRows) {
    const Index used = std::min(kReferenceRows, out.rows() - i0);
    auto strip = out.middleRows(i0, used);
    rows.topRows(used) = x_.middleRows(first + i0, used).template cast<double>();
    strip.noalias() = rows.topRows(used) * W;
    for (Index p = 0; p < count; ++p) {
      for (Index i = 0; i < used; ++i) {
        if (!patterns_.bit(first + i0 + i, blocks[p])) strip(i, p) = 0.0;
      }
    }
  }
}

template <class T>
Vector MaskedDesign<T>::row_energies() const {
  Vector energies(x_.rows());
  for (Index i = 0; i < x_.rows(); ++i) {
    energies[i] = x_.row(i).template cast<double>().squaredNorm();
  }
  return energies;
}

// D_p <= I: what bounds X^T diag(h) X bounds every block.
template <class T>
double MaskedDesign<T>::curvature_bound(ConstVectorRef h) const {
  Vector scale(x_.cols());
  for (Index k = 0; k < x_.cols(); ++k) scale[k] = x_.col(k).template cast<double>().norm();
  return largest_eigenvalue(scale, [&](const Vector& v, Vector& w) {
    w.setZero();
    for (Index i = 0; i < x_.rows(); ++i) {
      const auto row = x_.row(i).template cast<double>();
      w.noalias() += h[i] * row.dot(v) * row.transpose();
    }
  });
}

template <class T>
void MaskedDesign<T>::dense_block(Index block, MatrixRef out) const {
  out.setZero();
  patterns_.for_each_active(block,
                            [&](Index i) { out.row(i) = x_.row(i).template cast<double>(); });
}

// By a dense product on strips of unpacked masks.
template <class T>
void MaskedDesign<T>::reference_gradients(Index first, Index count, ConstMatrixRef R,
                                          double* out) const {
  const Index n = x_.rows(), d = x_.cols(), n_outputs = R.cols();
  MatrixMap G(out, d, n_outputs * count);
  G.setZero();
  DataMatrix<double> rows(kReferenceRows, d);
  Matrix masked(kReferenceRows, n_outputs * count);
  for (Index i0 = 0; i0 < n; i0 += kReferenceRows) {
    const Index used = std::min(kReferenceRows, n - i0);
    rows.topRows(used) = x_.middleRows(i0, used).template cast<double>();
    for (Index p = 0; p < count; ++p) {
      for (Index k = 0; k < n_outputs; ++k) {
        masked_column(patterns_, first + p, i0, R.col(k).segment(i0, used),
                      masked.col(p * n_outputs + k).head(used));
      }
    }
    G.noalias() += rows.topRows(used).transpose() * masked.topRows(used);
  }
}

template <class T>
void MaskedDesign<T>::reference_forward(const std::vector<Index>& blocks, const double* coefs,
                                        MatrixRef F) const {
  const Index n = x_.rows(), d = x_.cols(), n_outputs = F.cols();
  const Index count = static_cast<Index>(blocks.size());
  const ConstMatrixMap W(coefs, d, n_outputs * count);
  Matrix scores(kReferenceRows, W.cols());
  F.setZero();
  for (Index i0 = 0; i0 < n; i0 += kReferenceRows) {
    const Index used = std::min(kReferenceRows, n - i0);
    scores.topRows(used).noalias() = x_.middleRows(i0, used).template cast<double>() * W;
    for (Index p = 0; p < count; ++p) {
      for (Index i = 0; i < used; ++i) {
        if (!patterns_.bit(i0 + i, blocks[p])) continue;
        for (Index k = 0; k < n_outputs; ++k) F(i0 + i, k) += scores(i, p * n_outputs + k);
      }
    }
  }
}

template class MaskedDesign<float>;
template class MaskedDesign<double>;

}  // namespace cvxnn
