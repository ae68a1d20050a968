#include "cvxnn/kronecker.hpp"

#include <algorithm>
#include <cmath>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/symmetric_eigen.hpp"
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
  factor_in_place(shifted);
  Matrix inverse = Matrix::Identity(A.rows(), A.cols());
  solve_factored(shifted, inverse);
  return inverse.cast<float>();
}

}  // namespace

void KroneckerInverse::clear() {
  gram_vectors_.resize(0, 0);
  gram_inverses_.clear();
}

// values: ascending eigenvalues of the smaller side.
void KroneckerInverse::make_clusters(ConstVectorRef values, double largest_other,
                                     const Matrix& other, std::map<int, MatrixF>& inverses,
                                     std::vector<Cluster>& clusters) {
  clusters.clear();
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
    if (!clusters.empty() && clusters.back().inverse == inverse) {
      ++clusters.back().count;
    } else {
      clusters.push_back({k, 1, inverse});
    }
  }
  parallel_for(static_cast<Index>(missing.size()), n_threads_, [&](Index k, int) {
    inverses[missing[k]] = shifted_inverse(other, std::pow(kClusterRatio, missing[k] + 0.5));
  });
  const double length = static_cast<double>(other.rows());
  set_work_ += static_cast<double>(missing.size()) * length * length * length;
}

// A trace bounds the largest eigenvalue.
void KroneckerInverse::cluster_outputs(FeatureSpectrum& features, ConstVectorRef scales,
                                       const Matrix& overlap) {
  outputs_.resize(scales.size());
  if (by_features_) {
    if (gram_vectors_.size() == 0) gram_vectors_ = features.vectors().cast<float>();
    overlap_inverses_.clear();
    for (Index k = 0; k < scales.size(); ++k) {
      make_clusters(scales[k] * features.values(), overlap.trace(), overlap, overlap_inverses_,
                    outputs_[k].clusters);
    }
    return;
  }
  Vector values;
  Matrix vectors;
  symmetric_eigen(overlap, values, vectors);
  overlap_vectors_ = vectors.cast<float>();
  set_work_ += 4.0 * std::pow(static_cast<double>(overlap.rows()), 3);
  for (Index k = 0; k < scales.size(); ++k) {
    make_clusters(scales[k] * values, features.gram().trace(), features.gram(), gram_inverses_,
                  outputs_[k].clusters);
  }
}

void KroneckerInverse::set_units(ConstMatrixRef units) {
  const Index d = units.rows(), m = inverse_root_.size(), c = units.cols() / m;
  for (Index k = 0; k < c; ++k) {
    Output& output = outputs_[k];
    for (MatrixF* M : {&output.units, &output.scaled, &output.rotated, &output.image}) {
      M->resize(d, m);
    }
    output.scaled = units(Eigen::all, Eigen::seqN(k, m, c)).cast<float>();
    if (by_features_) {
      strip_product(gram_vectors_.transpose(), output.scaled, n_threads_, output.units);
    } else {
      output.units = output.scaled;
    }
  }
}

void KroneckerInverse::set(FeatureSpectrum& features, ConstVectorRef scales, Matrix overlap,
                           ConstVectorRef kappa, ConstVectorRef ridge, ConstMatrixRef units) {
  const Index m = overlap.rows();
  by_features_ = units.rows() <= m;
  inverse_root_ = (kappa + ridge).cwiseSqrt().cwiseInverse();
  overlap = inverse_root_.asDiagonal() * overlap * inverse_root_.asDiagonal();
  set_work_ = std::pow(static_cast<double>(m), 3) / 6.0;
  cluster_outputs(features, scales, overlap);
  set_units(units);
  along_.resize(m);
  set_correction(ridge.cwiseQuotient(kappa));
}

// S^-1 - U^T (I + C (x) G)^-1 U as a sum over outputs and clusters, where U S U^T is what is taken
// off, in units of K: S^-1 = I + diag(ridge / kappa). The squares of a unit's outputs sum to one.
void KroneckerInverse::set_correction(ConstVectorRef slack) {
  correction_ = slack.asDiagonal();
  for (const Output& output : outputs_) {
    const MatrixF& units = output.units;
    for (const Cluster& cluster : output.clusters) {
      if (cluster.inverse == nullptr) continue;
      const MatrixF& inverse = *cluster.inverse;
      if (by_features_) {
        const auto rows = units.middleRows(cluster.first, cluster.count);
        const MatrixF pairs = rows.transpose() * rows;
        correction_.diagonal() += pairs.diagonal().cast<double>();
        correction_ -= pairs.cwiseProduct(inverse).cast<double>();
      } else {
        const auto vectors = overlap_vectors_.middleCols(cluster.first, cluster.count);
        const MatrixF pairs = vectors * vectors.transpose();
        const MatrixF moved = units - inverse * units;
        correction_ += pairs.cwiseProduct(units.transpose() * moved).cast<double>();
      }
    }
  }
  // Positive in spite of rounding, and where a u_j does nothing.
  correction_.diagonal().array() += 1e-6;
  if (!factor_in_place(correction_)) correction_.setIdentity();
}

void KroneckerInverse::apply_clusters(const std::vector<Cluster>& clusters, const MatrixF& in,
                                      MatrixF& out) const {
  for (const Cluster& cluster : clusters) {
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

// From scaled, without the terms of rank one: what those need of it is added to along_.
void KroneckerInverse::invert(Output& output) {
  if (by_features_) {
    strip_product(gram_vectors_.transpose(), output.scaled, n_threads_, output.rotated);
    apply_clusters(output.clusters, output.rotated, output.image);
    along_ += output.units.cwiseProduct(output.image).colwise().sum().transpose().cast<double>();
  } else {
    strip_product(output.scaled, overlap_vectors_, n_threads_, output.rotated);
    apply_clusters(output.clusters, output.rotated, output.image);
    strip_product(output.image, overlap_vectors_.transpose(), n_threads_, output.rotated);
    along_ += output.units.cwiseProduct(output.rotated).colwise().sum().transpose().cast<double>();
  }
}

// Again, with the terms of rank one; into scaled.
void KroneckerInverse::finish(Output& output) {
  if (by_features_) {
    output.rotated += output.units * along_.cast<float>().asDiagonal();
    apply_clusters(output.clusters, output.rotated, output.image);
    strip_product(gram_vectors_, output.image, n_threads_, output.scaled);
  } else {
    output.scaled += output.units * along_.cast<float>().asDiagonal();
    strip_product(output.scaled, overlap_vectors_, n_threads_, output.rotated);
    apply_clusters(output.clusters, output.rotated, output.image);
    strip_product(output.image, overlap_vectors_.transpose(), n_threads_, output.scaled);
  }
}

void KroneckerInverse::apply(MatrixRef V) {
  const double largest = V.cwiseAbs().maxCoeff();
  if (!(largest > 0.0)) return;
  const double root = inverse_root_.maxCoeff();  // floats see numbers of order one
  const Index m = inverse_root_.size(), c = V.cols() / m;
  const auto columns = [&](Index k) { return V(Eigen::all, Eigen::seqN(k, m, c)); };
  along_.setZero();
  for (Index k = 0; k < c; ++k) {
    outputs_[k].scaled =
        (columns(k) * (inverse_root_ / (root * largest)).asDiagonal()).cast<float>();
    invert(outputs_[k]);
  }
  solve_factored(correction_, along_);
  for (Index k = 0; k < c; ++k) {
    finish(outputs_[k]);
    columns(k) = outputs_[k].scaled.cast<double>() * (root * largest * inverse_root_).asDiagonal();
  }
}

}  // namespace cvxnn
