#include "cvxnn/sample_system.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

TEST_CASE("solves of many right-hand sides, for any number of threads") {
  constexpr Index n = 150, n_blocks = 20, n_sides = 200;  // several strips of right-hand sides
  const GatedProblem problem("squared", n, 4, n_blocks, 1, 1);
  const Vector scales = random_matrix(n_blocks, 1, 4).cwiseAbs();
  const Vector v = 0.1 * random_matrix(4 * n_blocks, 1, 5),
               root = random_matrix(n, 1, 6).cwiseAbs();
  const Matrix B = random_matrix(n, n_sides, 7);

  Matrix N = Matrix::Zero(n, n);
  for (Index b = 0; b < n_blocks; ++b) {
    const Matrix A = masked_block(problem.x, problem.patterns.view(), b);
    const Vector image = A * v.segment(4 * b, 4);
    N += scales[b] * A * A.transpose() + image * image.transpose();
  }
  const Matrix M = Matrix::Identity(n, n) + root.asDiagonal() * N * root.asDiagonal();

  Matrix first;
  for (const int n_threads : {1, 2, 3}) {
    SampleSystem<Matrix> system(problem.design, n_threads);
    Control control;
    REQUIRE(system.factor(all_blocks(n_blocks), scales, v.data(), 1.0, root, control));
    Matrix solved = B;
    system.solve_lower(solved);
    system.solve_upper(solved);
    CHECK(relative_error(M * solved, B) < 1e-10);
    if (n_threads == 1) first = solved;
    CHECK(same_bits(solved, first));
  }
}

}  // namespace
}  // namespace cvxnn
