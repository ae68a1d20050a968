#include "cvxnn/kronecker.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr double kClusterRatio = 4.0;
constexpr double kNegligible = 0.01;  // of an eigenvalue of C (x) G, beside the one of I
constexpr Index kStrip = 64;          // columns of one task

// out = A B, a strip of columns a task.
template <class A, class B, class Out>
void strip_product(const A& a, const B& b, int n_threads, Out&& out) {
  const Index n = b.cols();
  const double work = static_cast<double>(a.rows() * a.cols()) * static_cast<double>(n);
  parallel_for((n + kStrip - 1) / kStrip, worthwhile_threads(work, n_threads),
               [&](Index strip, int) {
                 const Index first = strip * kStrip, count = std::min(kStrip, n - first);
                 out.middleCols(first, count).noalias() = a * b.middleCols(first, count);
               });
}

// (I + factor A)^-1 of a positive semi-definite A.
MatrixF shifted_inverse(const Matrix& A, double factor) {
  Matrix shifted = factor * A;
  shifted.diagonal().array() += 1.0;
  const Eigen::LLT<Eigen::Ref<Matrix>> cholesky(shifted);
  return cholesky.solve(Matrix::Identity(A.rows(), A.cols())).cast<float>();
}

}  // namespace

void KroneckerInverse::clear() {
  gram_vectors_.resize(0, 0);
  gram_inverses_.clear();
}

// values: ascending eigenvalues of the smaller side.
void KroneckerInverse::make_clusters(ConstVectorRef values, double largest_other,
                                     const Matrix& other, std::map<int, MatrixF>& inverses) {
  clusters_.clear();
  std::vector<int> missing;
  for (Index k = 0; k < values.size(); ++k) {
    const bool negligible = !(values[k] * largest_other >= kNegligible);
    const int exponent =
        negligible ? 0
                   : static_cast<int>(std::floor(std::log(values[k]) / std::log(kClusterRatio)));
    const MatrixF* inverse = nullptr;
    if (!negligible) {
      const auto [place, fresh] = inverses.try_emplace(exponent);
      if (fresh) missing.push_back(exponent);
      inverse = &place->second;
    }
    if (!clusters_.empty() && clusters_.back().inverse == inverse) {
      ++clusters_.back().count;
    } else {
      clusters_.push_back({k, 1, inverse});
    }
  }
  parallel_for(static_cast<Index>(missing.size()), n_threads_, [&](Index k, int) {
    inverses[missing[k]] = shifted_inverse(other, std::pow(kClusterRatio, missing[k] + 0.5));
  });
  const double side = static_cast<double>(other.rows());
  set_work_ += static_cast<double>(missing.size()) * side * side * side;
}

void KroneckerInverse::set(FeatureSpectrum& features, Matrix overlap, ConstVectorRef kappa,
                           ConstVectorRef ridge, ConstMatrixRef units) {
  const Index d = units.rows(), m = units.cols();
  by_features_ = d <= m;
  inverse_root_ = (kappa + ridge).cwiseSqrt().cwiseInverse();
  overlap = inverse_root_.asDiagonal() * overlap * inverse_root_.asDiagonal();
  const double side = static_cast<double>(m), m3 = side * side * side;
  set_work_ = m3 / 6.0;
  // A trace bounds the largest eigenvalue.
  if (by_features_) {
    if (gram_vectors_.size() == 0) gram_vectors_ = features.vectors().cast<float>();
    overlap_inverses_.clear();
    make_clusters(features.values(), overlap.trace(), overlap, overlap_inverses_);
    units_.resize(d, m);
    strip_product(gram_vectors_.transpose(), units.cast<float>().eval(), n_threads_, units_);
  } else {
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(overlap);
    overlap_vectors_ = eigen.eigenvectors().cast<float>();
    make_clusters(eigen.eigenvalues(), features.gram().trace(), features.gram(), gram_inverses_);
    units_ = units.cast<float>();
    set_work_ += 4.0 * m3;
  }
  for (MatrixF* M : {&scaled_, &rotated_, &image_}) M->resize(d, m);
  along_.resize(m);
  set_correction(ridge.cwiseQuotient(kappa));
}

// S^-1 - U^T (I + C (x) G)^-1 U as a sum over clusters, where U S U^T is what is taken off, in
// units of K: S^-1 = I + diag(ridge / kappa).
void KroneckerInverse::set_correction(ConstVectorRef slack) {
  correction_ = slack.asDiagonal();
  for (const Cluster& cluster : clusters_) {
    if (cluster.inverse == nullptr) continue;
    const MatrixF& inverse = *cluster.inverse;
    if (by_features_) {
      const auto rows = units_.middleRows(cluster.first, cluster.count);
      const MatrixF pairs = rows.transpose() * rows;
      correction_.diagonal() += pairs.diagonal().cast<double>();
      correction_ -= pairs.cwiseProduct(inverse).cast<double>();
    } else {
      const auto vectors = overlap_vectors_.middleCols(cluster.first, cluster.count);
      const MatrixF pairs = vectors * vectors.transpose();
      const MatrixF moved = units_ - inverse * units_;
      correction_ += pairs.cwiseProduct(units_.transpose() * moved).cast<double>();
    }
  }
  // Positive in spite of rounding, and where a u_j does nothing.
  correction_.diagonal().array() += 1e-6;
  Eigen::LLT<Eigen::Ref<Matrix>> cholesky(correction_);
  if (cholesky.info() != Eigen::Success) correction_.setIdentity();
}

void KroneckerInverse::apply_clusters(const MatrixF& in, MatrixF& out) const {
  for (const Cluster& cluster : clusters_) {
    if (by_features_) {
      const auto rows = in.middleRows(cluster.first, cluster.count);
      auto to = out.middleRows(cluster.first, cluster.count);
      if (cluster.inverse == nullptr) {
        to = rows;
      } else {
        strip_product(rows, *cluster.inverse, n_threads_, to);
      }
    } else {
      const auto columns = in.middleCols(cluster.first, cluster.count);
      auto to = out.middleCols(cluster.first, cluster.count);
      if (cluster.inverse == nullptr) {
        to = columns;
      } else {
        strip_product(*cluster.inverse, columns, n_threads_, to);
      }
    }
  }
}

void KroneckerInverse::apply(MatrixRef V) {
  const double largest = V.cwiseAbs().maxCoeff();
  if (!(largest > 0.0)) return;
  const double root = inverse_root_.maxCoeff();  // floats see numbers of order one
  scaled_ = (V * (inverse_root_ / (root * largest)).asDiagonal()).cast<float>();
  if (by_features_) {
    strip_product(gram_vectors_.transpose(), scaled_, n_threads_, rotated_);
    apply_clusters(rotated_, image_);
    along_ = units_.cwiseProduct(image_).colwise().sum().cast<double>();
  } else {
    strip_product(scaled_, overlap_vectors_, n_threads_, rotated_);
    apply_clusters(rotated_, image_);
    strip_product(image_, overlap_vectors_.transpose(), n_threads_, rotated_);
    along_ = units_.cwiseProduct(rotated_).colwise().sum().cast<double>();
  }
  correction_.triangularView<Eigen::Lower>().solveInPlace(along_);
  correction_.triangularView<Eigen::Lower>().transpose().solveInPlace(along_);
  if (by_features_) {
    rotated_ += units_ * along_.cast<float>().asDiagonal();
    apply_clusters(rotated_, image_);
    strip_product(gram_vectors_, image_, n_threads_, scaled_);
  } else {
    scaled_ += units_ * along_.cast<float>().asDiagonal();
    strip_product(scaled_, overlap_vectors_, n_threads_, rotated_);
    apply_clusters(rotated_, image_);
    strip_product(image_, overlap_vectors_.transpose(), n_threads_, scaled_);
  }
  V = scaled_.cast<double>() * (root * largest * inverse_root_).asDiagonal();
}

}  // namespace cvxnn
