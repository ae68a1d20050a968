#include "cvxnn/operators/dense.hpp"

#include <limits>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {

template <class T>
DenseDesign<T>::DenseDesign(const DataMap<T>& x, std::vector<Index> starts, int n_threads)
    : x_(x), starts_(std::move(starts)), n_threads_(n_threads) {
  require(starts_.size() >= 2 && starts_.front() == 0 && starts_.back() == x.cols(),
          "groups must cover the columns of X");
  for (std::size_t b = 1; b < starts_.size(); ++b) {
    require(starts_[b] > starts_[b - 1], "groups must not be empty");
  }
}

template <class T>
void DenseDesign<T>::gradients(const std::vector<Index>& blocks, ConstMatrixRef R, Precision,
                               Control& control, double* out) const {
  std::vector<double*> to;
  double work = 0.0;
  for (const Index b : blocks) {
    to.push_back(out);
    out += block_size(b) * R.cols();
    work += static_cast<double>(block_size(b) * R.size());
  }
  const int n_threads = worthwhile_threads(work, n_threads_);
  parallel_for(static_cast<Index>(blocks.size()), n_threads, [&](Index j, int) {
    gradient(blocks[j], R, MatrixMap(to[j], block_size(blocks[j]), R.cols()));
  });
  control.poll();
}

template <class T>
void DenseDesign<T>::forward(const std::vector<Index>& blocks, const double* coefs, Precision,
                             MatrixRef F) const {
  reference_forward(blocks, coefs, F);
}

template <class T>
void DenseDesign<T>::gradient(Index block, ConstMatrixRef R, MatrixRef out) const {
  const auto columns = this->columns(block);
  out.setZero();
  for (Index i = 0; i < x_.rows(); ++i) {
    for (Index k = 0; k < R.cols(); ++k) {
      out.col(k).noalias() += R(i, k) * columns.row(i).transpose().template cast<double>();
    }
  }
}

template <class T>
void DenseDesign<T>::step(Index block, ConstMatrixRef W, ConstVectorRef h, MatrixRef F,
                          MatrixRef R) const {
  const auto columns = this->columns(block);
  for (Index i = 0; i < x_.rows(); ++i) {
    for (Index k = 0; k < F.cols(); ++k) {
      const double f = columns.row(i).transpose().template cast<double>().dot(W.col(k));
      F(i, k) += f;
      R(i, k) -= h[i] * f;
    }
  }
}

template <class T>
void DenseDesign<T>::gram(Index block, ConstVectorRef h, MatrixRef H) const {
  const Matrix scaled = h.cwiseSqrt().asDiagonal() * columns(block).template cast<double>();
  H.setZero();
  H.selfadjointView<Eigen::Lower>().rankUpdate(scaled.transpose());
  H.triangularView<Eigen::StrictlyUpper>() = H.transpose();
}

template <class T>
void DenseDesign<T>::sample_gram(const std::vector<Index>& blocks, ConstVectorRef scales,
                                 Control& control, MatrixRef S) const {
  S.setZero();
  for (std::size_t j = 0; j < blocks.size(); ++j) {
    const Matrix A = columns(blocks[j]).template cast<double>();
    add_lower_product(scales[j], A, n_threads_, S);
    control.poll();
  }
}

template <class T>
void DenseDesign<T>::images(const std::vector<Index>& blocks, const double* coefs, Index first,
                            MatrixRef out) const {
  for (std::size_t j = 0; j < blocks.size(); ++j) {
    const Index size = block_size(blocks[j]);
    out.col(j).noalias() =
        columns(blocks[j]).middleRows(first, out.rows()).template cast<double>() *
        Eigen::Map<const Vector>(coefs, size);
    coefs += size;
  }
}

template <class T>
void DenseDesign<T>::squared_norms(ConstVectorRef h, VectorRef out) const {
  for (Index b = 0; b < n_blocks(); ++b) {
    out[b] = (h.cwiseSqrt().asDiagonal() * columns(b).template cast<double>()).squaredNorm();
  }
}

template <class T>
double DenseDesign<T>::curvature_bound(ConstVectorRef) const {
  return std::numeric_limits<double>::infinity();
}

template <class T>
void DenseDesign<T>::dense_block(Index block, MatrixRef out) const {
  out = columns(block).template cast<double>();
}

template <class T>
void DenseDesign<T>::reference_gradients(Index first, Index count, ConstMatrixRef R,
                                         double* out) const {
  for (Index b = first; b < first + count; ++b) {
    MatrixMap G(out, block_size(b), R.cols());
    G.noalias() = columns(b).transpose().template cast<double>() * R;
    out += G.size();
  }
}

template <class T>
void DenseDesign<T>::reference_forward(const std::vector<Index>& blocks, const double* coefs,
                                       MatrixRef F) const {
  F.setZero();
  for (const Index b : blocks) {
    const ConstMatrixMap W(coefs, block_size(b), F.cols());
    F.noalias() += columns(b).template cast<double>() * W;
    coefs += W.size();
  }
}

template class DenseDesign<float>;
template class DenseDesign<double>;

}  // namespace cvxnn
