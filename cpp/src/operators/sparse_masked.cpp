#include "cvxnn/operators/sparse_masked.hpp"

#include <algorithm>

#include "cvxnn/kernels/sample_gram.hpp"
#include "cvxnn/kernels/sparse_product.hpp"
#include "cvxnn/power_iteration.hpp"

namespace cvxnn {
namespace {

// H += weight x_i x_i^T, lower triangle: columns ascend.
template <class T>
void add_lower_square(const SparseRows<T>& x, Index i, double weight, MatrixRef H) {
  for (Index a = x.starts[i]; a < x.starts[i + 1]; ++a) {
    const double scaled = weight * static_cast<double>(x.values[a]);
    for (Index b = x.starts[i]; b <= a; ++b) {
      H(x.columns[a], x.columns[b]) += scaled * static_cast<double>(x.values[b]);
    }
  }
}

}  // namespace

template <class T>
struct SparseMaskedDesign<T>::Scratch {
  kernels::SparseScratch products;
};

template <class T>
SparseMaskedDesign<T>::SparseMaskedDesign(const SparseRows<T>& x, const PatternView& patterns,
                                          int n_threads)
    : PatternDesign(patterns, x.rows(), x.cols(), n_threads),
      x_(x),
      scratch_(std::make_unique<Scratch>()) {}

template <class T>
SparseMaskedDesign<T>::~SparseMaskedDesign() = default;

template <class T>
Vector SparseMaskedDesign<T>::row_energies() const {
  Vector energies = Vector::Zero(x_.rows());
  for (Index i = 0; i < x_.rows(); ++i) {
    x_.for_each(i, [&](Index, double value) { energies[i] += value * value; });
  }
  return energies;
}

template <class T>
void SparseMaskedDesign<T>::feature_gram(ConstVectorRef h, MatrixRef G) const {
  G.setZero();
  for (Index i = 0; i < x_.rows(); ++i) add_lower_square(x_, i, h[i], G);
  G.triangularView<Eigen::StrictlyUpper>() = G.transpose();
}

template <class T>
void SparseMaskedDesign<T>::gradients(const std::vector<Index>& blocks, ConstMatrixRef R, Precision,
                                      Control& control, double* out) const {
  kernels::sparse_gradients(x_, patterns_, blocks, R, n_threads_, control, scratch_->products, out);
}

template <class T>
void SparseMaskedDesign<T>::forward(const std::vector<Index>& blocks, const double* coefs,
                                    Precision, MatrixRef F) const {
  kernels::sparse_forward(x_, patterns_, blocks, coefs, n_threads_, scratch_->products, F);
}

template <class T>
void SparseMaskedDesign<T>::gradient(Index block, ConstMatrixRef R, MatrixRef out) const {
  out.setZero();
  patterns_.for_each_active(block, [&](Index i) {
    x_.for_each(i, [&](Index k, double value) {
      for (Index c = 0; c < R.cols(); ++c) out(k, c) += value * R(i, c);
    });
  });
}

template <class T>
void SparseMaskedDesign<T>::step(Index block, ConstMatrixRef W, ConstVectorRef h, MatrixRef F,
                                 MatrixRef R) const {
  patterns_.for_each_active(block, [&](Index i) {
    for (Index k = 0; k < F.cols(); ++k) {
      const double f = x_.dot(i, W.col(k));
      F(i, k) += f;
      R(i, k) -= h[i] * f;
    }
  });
}

template <class T>
void SparseMaskedDesign<T>::gram(Index block, ConstVectorRef h, MatrixRef H) const {
  H.setZero();
  patterns_.for_each_active(block, [&](Index i) { add_lower_square(x_, i, h[i], H); });
  H.triangularView<Eigen::StrictlyUpper>() = H.transpose();
}

// A panel of samples is unpacked, a feature a column, for each entry below to meet all of them.
template <class T>
void SparseMaskedDesign<T>::sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales,
                                        Control& control, MatrixRef S) const {
  const auto products = [&](Index first, MatrixRef out) {
    Matrix panel = Matrix::Zero(out.cols(), x_.cols());
    for (Index j = 0; j < out.cols(); ++j) {
      x_.for_each(first + j, [&](Index k, double value) { panel(j, k) = value; });
    }
    Vector row(out.cols());
    for (Index i = 0; i < out.rows(); ++i) {
      row.setZero();
      x_.for_each(first + i, [&](Index k, double value) { row += value * panel.col(k); });
      out.row(i) = row.transpose();
    }
  };
  kernels::masked_sample_gram(products, patterns_, blocks, scales, n_threads_, control, S);
}

template <class T>
void SparseMaskedDesign<T>::images(const std::vector<Index>& blocks, const double* coefs,
                                   Index first, MatrixRef out) const {
  for (Index j = 0; j < out.cols(); ++j) {
    const double* w = coefs + j * x_.cols();
    for (Index i = 0; i < out.rows(); ++i) {
      out(i, j) = patterns_.bit(first + i, blocks[j]) ? x_.dot(first + i, w) : 0.0;
    }
  }
}

// D_p <= I: what bounds X^T diag(h) X bounds every block.
template <class T>
double SparseMaskedDesign<T>::curvature_bound(ConstVectorRef h) const {
  Vector scale = Vector::Zero(x_.cols());
  for (Index i = 0; i < x_.rows(); ++i) {
    x_.for_each(i, [&](Index k, double value) { scale[k] += value * value; });
  }
  return largest_eigenvalue(scale.cwiseSqrt(), [&](const Vector& v, Vector& w) {
    w.setZero();
    for (Index i = 0; i < x_.rows(); ++i) {
      const double f = h[i] * x_.dot(i, v);
      x_.for_each(i, [&](Index k, double value) { w[k] += f * value; });
    }
  });
}

template <class T>
void SparseMaskedDesign<T>::dense_block(Index block, MatrixRef out) const {
  out.setZero();
  patterns_.for_each_active(
      block, [&](Index i) { x_.for_each(i, [&](Index k, double value) { out(i, k) = value; }); });
}

// A block and an output at a time.
template <class T>
void SparseMaskedDesign<T>::reference_gradients(Index first, Index count, ConstMatrixRef R,
                                                double* out) const {
  MatrixMap G(out, x_.cols(), R.cols() * count);
  G.setZero();
  for (Index column = 0; column < G.cols(); ++column) {
    const Index p = first + column / R.cols(), output = column % R.cols();
    for (Index i = 0; i < x_.rows(); ++i) {
      if (!patterns_.bit(i, p)) continue;
      x_.for_each(i, [&](Index k, double value) { G(k, column) += value * R(i, output); });
    }
  }
}

template <class T>
void SparseMaskedDesign<T>::reference_forward(const std::vector<Index>& blocks, const double* coefs,
                                              MatrixRef F) const {
  F.setZero();
  for (const Index block : blocks) {
    const ConstMatrixMap W(coefs, x_.cols(), F.cols());
    for (Index i = 0; i < x_.rows(); ++i) {
      if (!patterns_.bit(i, block)) continue;
      for (Index k = 0; k < F.cols(); ++k) F(i, k) += x_.dot(i, W.col(k));
    }
    coefs += W.size();
  }
}

template class SparseMaskedDesign<float>;
template class SparseMaskedDesign<double>;

}  // namespace cvxnn
