// Random problems for the tests, and the dense twins that the packed kernels are compared with.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "cvxnn/make_loss.hpp"
#include "cvxnn/operators/masked.hpp"
#include "cvxnn/patterns.hpp"
#include "cvxnn/symmetric_eigen.hpp"
#include "cvxnn/threads.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn::testing {

// Teams for all problems where races are looked for; elsewhere tests of threads ask for them.
constexpr int kThreads = kSerialWork > 1.0 ? 1 : 4;

// Eigen's own output operators make doctest's messages; nothing here prints.
inline Matrix random_matrix(Index rows, Index cols, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  return Matrix::NullaryExpr(rows, cols, [&] { return normal(engine); });
}

// Ascending, of a symmetric matrix.
inline Vector eigenvalues(ConstMatrixRef S) {
  Vector values;
  Matrix vectors;
  symmetric_eigen(S, values, vectors);
  return values;
}

template <class T>
DataMatrix<T> random_data(Index n_samples, Index n_features, unsigned seed) {
  return random_matrix(n_samples, n_features, seed).cast<T>();
}

template <class T>
DataMap<T> map(const DataMatrix<T>& x) {
  return DataMap<T>(x.data(), x.rows(), x.cols());
}

// Compressed rows that own their arrays: what is not zero in dense data.
template <class T>
class Compressed {
 public:
  explicit Compressed(const DataMatrix<T>& x) : n_features_(x.cols()) {
    for (Index i = 0; i < x.rows(); ++i) {
      for (Index k = 0; k < x.cols(); ++k) {
        if (x(i, k) == T{0}) continue;
        values_.push_back(x(i, k));
        columns_.push_back(static_cast<std::int32_t>(k));
      }
      starts_.push_back(static_cast<Index>(values_.size()));
    }
  }

  SparseRows<T> view() const {
    const Index n_samples = static_cast<Index>(starts_.size()) - 1;
    return {values_.data(), columns_.data(), starts_.data(), n_samples, n_features_};
  }

 private:
  std::vector<T> values_;
  std::vector<std::int32_t> columns_;
  std::vector<Index> starts_{0};
  Index n_features_;
};

// A third of the entries; the middle row and column are empty.
template <class T>
DataMatrix<T> random_sparse_data(Index n_samples, Index n_features, unsigned seed) {
  DataMatrix<T> x = random_data<T>(n_samples, n_features, seed);
  std::mt19937_64 engine(seed + 1);
  for (Index i = 0; i < n_samples; ++i) {
    for (Index k = 0; k < n_features; ++k) {
      if (engine() % 3 != 0) x(i, k) = T{0};
    }
  }
  if (n_samples > 2) x.row(n_samples / 2).setZero();
  if (n_features > 2) x.col(n_features / 2).setZero();
  return x;
}

// Packed patterns that own their words.
class Patterns {
 public:
  Patterns(Index n_samples, Index n_patterns)
      : words_(static_cast<std::size_t>(word_count(n_samples) * n_patterns), 0),
        n_samples_(n_samples),
        n_patterns_(n_patterns) {}

  PatternView view() const { return {words_.data(), n_samples_, n_patterns_}; }
  std::vector<Word>& words() { return words_; }
  const std::vector<Word>& words() const { return words_; }

  void activate(Index i, Index p) {
    words_[i / kWordBits * n_patterns_ + p] |= Word{1} << (i % kWordBits);
  }

 private:
  std::vector<Word> words_;
  Index n_samples_, n_patterns_;
};

// Every bit by a fair coin: no structure that a kernel could profit from.
inline Patterns random_patterns(Index n_samples, Index n_patterns, unsigned seed) {
  std::mt19937_64 engine(seed);
  Patterns patterns(n_samples, n_patterns);
  for (Index p = 0; p < n_patterns; ++p) {
    for (Index i = 0; i < n_samples; ++i) {
      if ((engine() >> 40) & 1U) patterns.activate(i, p);
    }
  }
  return patterns;
}

inline std::vector<Index> all_blocks(Index n_blocks) {
  std::vector<Index> all(static_cast<std::size_t>(n_blocks));
  std::iota(all.begin(), all.end(), Index{0});
  return all;
}

// D_p X.
template <class T>
Matrix masked_block(const DataMatrix<T>& x, const PatternView& patterns, Index p) {
  Matrix block = x.template cast<double>();
  for (Index i = 0; i < x.rows(); ++i) {
    if (!patterns.bit(i, p)) block.row(i).setZero();
  }
  return block;
}

template <class T>
std::vector<Matrix> masked_blocks(const DataMatrix<T>& x, const PatternView& patterns) {
  std::vector<Matrix> blocks;
  for (Index p = 0; p < patterns.n_patterns; ++p) blocks.push_back(masked_block(x, patterns, p));
  return blocks;
}

// The largest entry of |a - b| / scale, where a zero scale admits no difference.
inline double relative_error(ConstMatrixRef a, ConstMatrixRef b, ConstMatrixRef scale) {
  REQUIRE(a.rows() == b.rows());
  REQUIRE(a.cols() == b.cols());
  double worst = 0.0;
  for (Index j = 0; j < a.cols(); ++j) {
    for (Index i = 0; i < a.rows(); ++i) {
      const double error = std::abs(a(i, j) - b(i, j));
      if (!(error <= 0.0)) worst = std::max(worst, error / scale(i, j));
      if (std::isnan(error)) return error;
    }
  }
  return worst;
}

// Normwise: |a - b| relative to the largest entry of b.
inline double relative_error(ConstMatrixRef a, ConstMatrixRef b) {
  const double largest = b.size() > 0 ? b.cwiseAbs().maxCoeff() : 0.0;
  return relative_error(a, b, Matrix::Constant(b.rows(), b.cols(), largest));
}

inline bool same_bits(const double* a, const double* b, Index size) {
  return size == 0 || std::memcmp(a, b, static_cast<std::size_t>(size) * sizeof(double)) == 0;
}
inline bool same_bits(const Matrix& a, const Matrix& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() && same_bits(a.data(), b.data(), a.size());
}

// Smooth losses: see test_proximal_loss for the others.
inline const std::vector<std::string>& loss_names() {
  static const std::vector<std::string> names{"squared", "logistic", "squared_hinge", "huber"};
  return names;
}
inline bool classifies(const std::string& loss) {
  return loss == "logistic" || loss == "squared_hinge" || loss == "hinge";
}
constexpr double kDelta = 0.7;  // of the Huber loss

// Targets with something to learn, the loss on them, and the weights of its samples.
inline std::unique_ptr<Loss> random_loss(const std::string& name, Index n_samples, Index n_outputs,
                                         unsigned seed, double delta = kDelta) {
  Matrix y = random_matrix(n_samples, n_outputs, seed);
  if (classifies(name)) {
    y = y.unaryExpr([](double t) { return t > 0.0 ? 1.0 : -1.0; });
  } else if (name == "softmax") {  // shares of classes
    y = y.array().exp();
    y.array().colwise() /= y.rowwise().sum().array().eval();
  }
  Vector omega = random_matrix(n_samples, 1, seed + 1).cwiseAbs().array() + 0.1;
  omega /= omega.sum();
  return make_loss(name, std::move(y), std::move(omega), delta);
}

// A gated problem that owns all that its design looks at.
struct GatedProblem {
  DataMatrix<double> x;
  Patterns patterns;
  std::unique_ptr<Loss> loss;
  MaskedDesign<double> design;

  GatedProblem(const std::string& loss_name, Index n_samples, Index n_features, Index n_patterns,
               Index n_outputs, unsigned seed, int n_threads = kThreads)
      : x(random_data<double>(n_samples, n_features, seed)),
        patterns(random_patterns(n_samples, n_patterns, seed + 1)),
        loss(random_loss(loss_name, n_samples, n_outputs, seed + 2)),
        design(map(x), patterns.view(), n_threads) {}
  GatedProblem(const GatedProblem&) = delete;
  GatedProblem& operator=(const GatedProblem&) = delete;

  Vector unit_weights() const { return Vector::Ones(design.n_blocks()); }
};

}  // namespace cvxnn::testing
