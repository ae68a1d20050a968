#include <doctest/doctest.h>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/kronecker.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// Features whose Gram matrix is what it is told to be.
class Features final : public CommonFeatures {
 public:
  explicit Features(Matrix gram) : gram_(std::move(gram)) {}
  Index n_features() const override { return gram_.rows(); }
  void feature_gram(ConstVectorRef, MatrixRef G) const override { G = gram_; }
  void overlaps(const std::vector<Index>&, MatrixRef) const override {}

 private:
  Matrix gram_;
};

struct Case {
  Matrix gram, overlap, units;  // units: a block's outputs below each other
  Index n_outputs;
  Vector kappa, ridge;

  Case(Index d, Index m, double share = 0.0, Index c = 1)
      : gram(random_gram(d, 1)), overlap(random_gram(m, 2)), n_outputs(c) {
    units = random_matrix(c * d, m, 3);
    units.colwise().normalize();
    kappa = random_matrix(m, 1, 4).cwiseAbs().array() + 0.1;
    ridge = share * random_matrix(m, 1, 5).cwiseAbs();
  }

  static Matrix random_gram(Index size, int seed) {
    const Matrix A = random_matrix(2 * size, size, seed);
    return A.transpose() * A / static_cast<double>(size);
  }

  static double output_scale(Index output) { return static_cast<double>(1 + output); }

  // overlap (x) scaled grams + diag(kappa + ridge) - sum_j kappa_j u_j u_j^T on columns one after
  // the other.
  Matrix dense() const {
    const Index d = gram.rows(), m = overlap.rows(), size = d * n_outputs;
    Matrix M = Matrix::Zero(size * m, size * m);
    for (Index p = 0; p < m; ++p) {
      for (Index k = 0; k < n_outputs; ++k) {
        for (Index q = 0; q < m; ++q) {
          M.block(p * size + k * d, q * size + k * d, d, d) =
              overlap(p, q) * output_scale(k) * gram;
        }
      }
      M.block(p * size, p * size, size, size) +=
          kappa[p] * (Matrix::Identity(size, size) - units.col(p) * units.col(p).transpose()) +
          ridge[p] * Matrix::Identity(size, size);
    }
    return M;
  }

  // Column by column.
  Matrix inverse(int n_threads) const {
    const Index d = gram.rows(), columns = overlap.rows() * n_outputs;
    const Features features(gram);
    FeatureSpectrum spectrum(&features);
    spectrum.prepare(Vector::Ones(1));
    KroneckerInverse kronecker(n_threads);
    const Vector scales = Vector::NullaryExpr(n_outputs, [](Index k) { return output_scale(k); });
    kronecker.set(spectrum, scales, overlap, kappa, ridge,
                  ConstMatrixMap(units.data(), d, columns));
    Matrix result = Matrix::Identity(d * columns, d * columns);
    for (Index k = 0; k < result.cols(); ++k) {
      kronecker.apply(MatrixMap(result.col(k).data(), d, columns));
    }
    return result;
  }
};

TEST_CASE("exact where every eigenvalue is the one that stands for its cluster") {
  Case features(3, 8), blocks(8, 3);
  features.gram = Vector{{0.125, 2.0, 8.0}}.asDiagonal();
  blocks.kappa.setOnes();
  blocks.overlap = Vector{{0.5, 2.0, 8.0}}.asDiagonal();
  for (const Case& exact : {features, blocks}) {
    const Matrix product = exact.inverse(kThreads) * exact.dense();
    CHECK(product.isApprox(Matrix::Identity(24, 24), 1e-4));
  }
}

TEST_CASE("a symmetric preconditioner within a small factor of the inverse") {
  for (const auto& size :
       {std::pair<Index, Index>{4, 10}, {10, 4}, {6, 6}, {5, 1}, {1, 5}, {2, 100}, {100, 2}}) {
    const Index d = size.first, m = size.second;
    CAPTURE(d);
    for (const auto& [share, c] : {std::pair<double, Index>{0.0, 1}, {0.5, 1}, {0.0, 3}}) {
      const Case random(d, m, share, c);
      const Matrix inverse = random.inverse(kThreads), M = random.dense();
      CHECK(inverse.isApprox(inverse.transpose(), 1e-4));
      Matrix root = M;
      REQUIRE(factor_in_place(root));
      root = root.triangularView<Eigen::Lower>();
      const Vector spectrum = eigenvalues(root.transpose() * inverse * root);
      CHECK(spectrum.minCoeff() > 0.2);
      CHECK(spectrum.maxCoeff() < 5.0);
      CHECK(random.inverse(2) == inverse);
    }
  }
}

TEST_CASE("whatever the scale") {
  Case random(5, 7);
  const Matrix inverse = random.inverse(kThreads);
  const double scale = std::ldexp(1.0, 300);  // a power of the ratio of clusters
  random.gram *= scale;
  random.kappa *= scale;
  CHECK((scale * random.inverse(kThreads)).isApprox(inverse, 1e-4));
}

}  // namespace
}  // namespace cvxnn
