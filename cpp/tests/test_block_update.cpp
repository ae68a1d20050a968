#include "cvxnn/block_update.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// argmin 1/2 <W, (H + ridge I) W> - <B, W> + a ||W||, by way of the coordinates in which blocks are
// solved.
Matrix solve_block(const Matrix& H, const Matrix& B, double a, double ridge = 0.0) {
  const BlockSpectrum spectrum = decompose(H);
  REQUIRE(spectrum.exact());
  Matrix Z(B.rows(), B.cols());
  update_block(spectrum, spectrum.vectors.transpose() * B, a, ridge, Z);
  return spectrum.vectors * Z;
}

// H W - B + a W / ||W|| for W != 0, relative to the sizes of its terms.
double kkt_error(const Matrix& H, const Matrix& B, double a, const Matrix& W) {
  if (W.isZero(0.0)) return std::max(0.0, B.norm() - a) / B.norm();
  const Matrix residual = H * W - B + a / W.norm() * W;
  return residual.norm() / (H.norm() * W.norm() + B.norm() + a);
}

Matrix orthogonal(Index size, unsigned seed) {
  const Matrix A = random_matrix(size, size, seed);
  Vector values;
  Matrix vectors;
  symmetric_eigen(A + A.transpose(), values, vectors);
  return vectors;
}

Matrix with_eigenvalues(const Vector& values, unsigned seed) {
  const Matrix Q = orthogonal(values.size(), seed);
  const Matrix H = Q * values.asDiagonal() * Q.transpose();
  return 0.5 * (H + H.transpose());
}

TEST_CASE("blocks of full rank satisfy their optimality conditions") {
  for (const Index size : {1, 2, 5, 30, 104}) {
    for (const Index n_outputs : {1, 3}) {
      const Matrix A = random_matrix(2 * size, size, 1), H = A.transpose() * A;
      const Matrix B = random_matrix(size, n_outputs, 2);
      for (const double share : {1e-12, 1e-3, 0.5, 0.99, 1.0 - 1e-9}) {
        CAPTURE(size);
        CAPTURE(share);
        const Matrix W = solve_block(H, B, share * B.norm());
        CHECK_FALSE(W.isZero(0.0));
        CHECK(kkt_error(H, B, share * B.norm(), W) <= 1e-12);
      }
    }
  }
}

TEST_CASE("a ridge is more curvature") {
  const Matrix tall = random_matrix(12, 6, 21), wide = random_matrix(3, 6, 22);
  for (const Matrix& A : {tall, wide}) {
    const Matrix H = A.transpose() * A, B = A.transpose() * random_matrix(A.rows(), 2, 23);
    for (const double ridge : {1e-6, 0.3, 1e3}) {
      for (const double share : {1e-3, 0.5, 1.0 - 1e-9}) {
        const Matrix W = solve_block(H, B, share * B.norm(), ridge);
        const Matrix curved = H + ridge * Matrix::Identity(6, 6);
        CHECK_FALSE(W.isZero(0.0));
        CHECK(kkt_error(curved, B, share * B.norm(), W) <= 1e-12);
      }
      CHECK(solve_block(H, B, B.norm() * (1.0 + 1e-12), ridge).isZero(0.0));
    }
  }
}

TEST_CASE("a linear term within the penalty gives exactly zero") {
  const Matrix A = random_matrix(8, 4, 3), H = A.transpose() * A, B = random_matrix(4, 2, 4);
  const BlockSpectrum spectrum = decompose(H);
  Matrix Z = Matrix::Constant(4, 2, 9.0);
  update_block(spectrum, B, B.norm(), 0.0, Z);
  CHECK(Z.isZero(0.0));
  Z.setConstant(9.0);
  update_block(spectrum, B, 1.5 * B.norm(), 0.0, Z);
  CHECK(Z.isZero(0.0));
  Z.setConstant(9.0);
  update_block(spectrum, Matrix::Zero(4, 2), 0.1, 0.0, Z);
  CHECK(Z.isZero(0.0));
}

TEST_CASE("singular blocks: more features than samples, a duplicated feature") {
  Matrix wide = random_matrix(3, 7, 5), twice = random_matrix(20, 5, 6);
  twice.col(4) = twice.col(1);
  for (const Matrix& A : {wide, twice}) {
    const Matrix H = A.transpose() * A;
    const Matrix B = A.transpose() * random_matrix(A.rows(), 2, 7);  // in the range of H
    for (const double share : {1e-9, 0.1, 0.9}) {
      const Matrix W = solve_block(H, B, share * B.norm());
      CHECK(W.allFinite());
      CHECK(kkt_error(H, B, share * B.norm(), W) <= 1e-12);
    }
  }
}

TEST_CASE("rounding outside the range of the block is cut off") {
  Vector values(4);
  values << 1.0, 2.0, 1e-16, -1e-16;
  const BlockSpectrum spectrum = decompose(with_eigenvalues(values, 8));
  CHECK((spectrum.values.array() == 0.0).count() == 2);
  CHECK(spectrum.values.minCoeff() == 0.0);
}

TEST_CASE("a zero block stays at zero") {
  const BlockSpectrum spectrum = decompose(Matrix::Zero(3, 3));
  CHECK(spectrum.values.isZero(0.0));
  Matrix Z = Matrix::Constant(3, 1, 9.0);
  update_block(spectrum, Matrix::Zero(3, 1), 0.1, 0.0, Z);
  CHECK(Z.isZero(0.0));
}

TEST_CASE("without a penalty a block solves its linear system") {
  const Matrix A = random_matrix(12, 6, 9), H = A.transpose() * A, B = random_matrix(6, 2, 10);
  const Matrix W = solve_block(H, B, 0.0);
  CHECK(relative_error(H * W, B) <= 1e-13);
}

// In the coordinates of the eigenvectors each row has its own condition, whatever its scale:
// (values_k + a / ||Z||) Z_k = B_k.
TEST_CASE("widely scaled curvatures satisfy the conditions row by row") {
  BlockSpectrum spectrum;
  spectrum.values = (Vector(5) << 1e-12, 1e-6, 1.0, 1e6, 1e12).finished();
  spectrum.vectors = Matrix::Identity(5, 5);
  for (const double scale : {1e-8, 1.0, 1e8}) {
    for (unsigned seed = 20; seed < 30; ++seed) {
      const Matrix B = scale * random_matrix(5, 2, seed);
      for (const double share : {1e-6, 0.1, 0.999}) {
        const double a = share * B.norm();
        Matrix Z(5, 2);
        update_block(spectrum, B, a, 0.0, Z);
        const Vector factors = spectrum.values.array() + a / Z.norm();
        CHECK(relative_error(factors.asDiagonal() * Z, B, B.cwiseAbs()) <= 1e-12);
      }
    }
  }
}

TEST_CASE("widely scaled Gram matrices satisfy the conditions") {
  for (const double largest : {1e-10, 1.0, 1e10}) {
    Vector values(6);
    for (Index k = 0; k < 6; ++k)
      values[k] = largest * std::pow(10.0, -2.0 * static_cast<double>(k));
    const Matrix H = with_eigenvalues(values, 11), B = H * random_matrix(6, 1, 12);
    for (const double share : {1e-6, 0.1, 0.9}) {
      CHECK(kkt_error(H, B, share * B.norm(), solve_block(H, B, share * B.norm())) <= 1e-12);
    }
  }
}

// An independent solution: H = A'A, B = 2 A'z with Gaussian A (5 x 3) and z, a = 0.7.
TEST_CASE("a block solved elsewhere") {
  Matrix H(3, 3), B(3, 1), expected(3, 1);
  H << 5.72700742547446, -2.4702086496590736, -2.699446929967882,  //
      -2.4702086496590736, 3.401719903926887, 1.9788499283351784,  //
      -2.699446929967882, 1.9788499283351784, 6.502706780984041;
  B << -4.478430766614584, 6.144190567514207, -3.4619029129798906;
  expected << -0.49239632168105335, 2.034430881971857, -1.2991202899797303;
  const Matrix W = solve_block(H, B, 0.7);
  CHECK(relative_error(W, expected) <= 1e-10);
  CHECK(W.norm() == doctest::Approx(2.4635496096005127).epsilon(1e-10));
}

TEST_CASE("block_norm is the norm of the minimiser") {
  const Vector values = random_matrix(6, 1, 13).cwiseAbs();
  const Matrix B = random_matrix(6, 3, 14);
  for (const double share : {1e-9, 0.3, 1.0 - 1e-12}) {
    const double a = share * B.norm(), eta = block_norm(values, B, a);
    double phi = 0.0;
    for (Index k = 0; k < 6; ++k) {
      phi += B.row(k).squaredNorm() / std::pow(values[k] * eta + a, 2);
    }
    CHECK(phi == doctest::Approx(1.0).epsilon(1e-13));
  }
}

// Blocks too large to decompose are majorised: H <= value * I, and not by much more than needed.
void check_bound(const Matrix& H) {
  const BlockSpectrum spectrum = decompose(H);
  CHECK_FALSE(spectrum.exact());
  CHECK(spectrum.values.size() == H.rows());
  CHECK(spectrum.values.minCoeff() == spectrum.values.maxCoeff());
  const double largest = eigenvalues(H).maxCoeff();
  CHECK(spectrum.values[0] >= largest * (1.0 - 1e-12));
  CHECK(spectrum.values[0] <= 1.1 * largest);
}

TEST_CASE("the bound of a large block is above its spectrum") {
  const Index size = kExactBlockSize + 8;
  const Matrix A = random_matrix(300, size, 15);
  check_bound(A.transpose() * A);
  check_bound(A.topRows(5).transpose() * A.topRows(5));
  check_bound(Matrix::Identity(size, size));
  const BlockSpectrum zero = decompose(Matrix::Zero(size, size));
  CHECK(zero.values.isZero(0.0));
}

// Where all rows of a Gram matrix have the same norm, the vector of ones may be an eigenvector, and
// not the leading one: features and their negatives, categories that exclude one another.
TEST_CASE("the bound of a large block with symmetries is above its spectrum") {
  const Index size = kExactBlockSize + 8;
  const Matrix identity = Matrix::Identity(size, size), ones = Matrix::Ones(size, size);
  for (const double share : {0.1, 0.5, 0.999, 1.0}) {
    check_bound(identity - share / static_cast<double>(size) * ones);
  }
  Matrix mirrored(size, size);
  const Matrix quarter = Matrix::Identity(size / 2, size / 2);
  mirrored << quarter, -quarter, -quarter, quarter;
  check_bound(mirrored);

  const Index half = kExactBlockSize / 2 + 4;
  const Matrix Q = orthogonal(300, 16).leftCols(half);
  Matrix A(300, 2 * half);
  A << Q, -Q;
  check_bound(A.transpose() * A);
  A << Q, 0.1 * orthogonal(300, 17).leftCols(half) - Q;
  check_bound(A.transpose() * A);
}

}  // namespace
}  // namespace cvxnn
