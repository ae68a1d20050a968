#include "cvxnn/cholesky.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// Sizes on both sides of the panels and tiles.
const std::vector<Index> kSizes{1, 2, 191, 192, 193, 400, 800};

Matrix positive_definite(Index n) {
  const Matrix A = random_matrix(n, n, 1);
  return A * A.transpose() + Matrix::Identity(n, n);
}

TEST_CASE("factor and solve, whatever stands above the diagonal") {
  Control control;
  for (const Index n : kSizes) {
    CAPTURE(n);
    const Matrix S = positive_definite(n), X = random_matrix(n, 3, 2);
    Matrix L = S;
    L.triangularView<Eigen::StrictlyUpper>().setConstant(1e300);
    REQUIRE(factor_in_place(L, kThreads, control));
    const Matrix lower = L.triangularView<Eigen::Lower>();
    CHECK(relative_error(lower * lower.transpose(), S) <= 1e-13);
    Matrix B = S * X;
    solve_factored(L, B);
    CHECK(relative_error(B, X) <= 1e-8);
  }
}

TEST_CASE("a float factor is that of the double matrix to its digits") {
  Control control;
  for (const Index n : kSizes) {
    CAPTURE(n);
    const Matrix S = positive_definite(n) + static_cast<double>(n) * Matrix::Identity(n, n);
    MatrixF L = S.cast<float>();
    REQUIRE(factor_in_place(L, 1, control));
    const Matrix lower = Matrix(L.cast<double>()).triangularView<Eigen::Lower>();
    CHECK(relative_error(lower * lower.transpose(), S) <= 1e-5);
    MatrixF indefinite = S.cast<float>();
    indefinite(n - 1, n - 1) = -1.0F;
    CHECK_FALSE(factor_in_place(indefinite, 1, control));
  }
}

TEST_CASE("bitwise the same on any number of threads") {
  Control control;
  const Matrix S = positive_definite(900);
  Matrix one = S, two = S;
  CHECK(factor_in_place(one, kThreads, control));
  CHECK(factor_in_place(two, 2, control));
  CHECK(same_bits(Matrix(one.triangularView<Eigen::Lower>()),
                  Matrix(two.triangularView<Eigen::Lower>())));
}

TEST_CASE("an indefinite matrix is told") {
  Control control;
  for (const Index n : kSizes) {
    Matrix S = positive_definite(n);
    S(n - 1, n - 1) = -1.0;
    CHECK_FALSE(factor_in_place(S, kThreads, control));
  }
}

TEST_CASE("a product is added to the lower triangle only") {
  for (const Index n : kSizes) {
    for (const Index k : {0, 1, 70}) {
      const Matrix L = random_matrix(n, k, 3), before = random_matrix(n, n, 4);
      Matrix S = before;
      add_lower_product(-0.5, L, 2, S);
      Matrix expected = before;
      if (k > 0) expected.triangularView<Eigen::Lower>() -= 0.5 * L * L.transpose();
      CHECK(relative_error(S, expected) <= 1e-13);
    }
  }
}

}  // namespace
}  // namespace cvxnn
