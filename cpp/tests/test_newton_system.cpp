#include <Eigen/Dense>

#include "cvxnn/newton_system.hpp"
#include "cvxnn/operators/masked.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

struct Case {
  DataMatrix<double> x;
  Patterns patterns;
  MaskedDesign<double> design;
  WorkingSet working;
  Vector h;
  Unpenalised free;
  BlockSpectra spectra;
  NewtonSystem system;

  Case(Index n, Index d, Index m, const Matrix& columns, double alpha)
      : x(random_data<double>(n, d, 1)),
        patterns(random_patterns(n, m, 2)),
        design(map(x), patterns.view(), 1),
        h(random_matrix(n, 1, 5).cwiseAbs() / static_cast<double>(n)),
        free(columns, 1),
        spectra(design, 1),
        system(design, spectra, 1) {
    working.starts = {0};
    working.reset(design, all_blocks(m), Vector::Ones(m), alpha);
    working.coefs = random_matrix(m * d, 1, 3);
    working.block(working.coefs, 0).setZero();
    free.set_curvature(h);
    spectra.prepare(working.blocks, h);
    system.reserve(working);
    system.set(working, working.coefs, h);
  }

  // The matrix of the system, block by block.
  Matrix dense() const {
    const Index n = design.n_samples(), d = x.cols(), m = working.size() - 1;
    Matrix B(n, d * m);
    for (Index j = 0; j < m; ++j) design.dense_block(j + 1, B.middleCols(j * d, d));
    B = h.cwiseSqrt().asDiagonal() * B;
    if (free.size() > 0) B -= free.basis() * (free.basis().transpose() * B);
    Matrix M = B.transpose() * B;
    for (Index j = 0; j < m; ++j) {
      const auto w = working.block(working.coefs, j + 1).col(0);
      const Vector u = w.normalized();
      M.block(j * d, j * d, d, d) +=
          working.alphas[j + 1] / w.norm() * (Matrix::Identity(d, d) - u * u.transpose());
    }
    return M;
  }
};

// The second solve is by a factorisation: the first took all its iterations.
TEST_CASE("conjugate gradients and the factorisation over samples solve the same system") {
  for (const Matrix& columns : {Matrix(60, 0), intercept(60), random_matrix(60, 4, 7)}) {
    for (const auto& [d, m] : {std::pair<Index, Index>{5, 9}, {9, 5}}) {
      Case c(60, d, m, columns, 1e-2);
      const Matrix M = c.dense();
      const Vector rhs = M * random_matrix(M.rows(), 1, 8);
      Control control;
      for (const double tolerance : {1e-10, 1e-2}) {
        Vector y(c.working.coefs.size());
        Matrix Ay(60, 1);
        Vector padded = Vector::Zero(c.working.coefs.size());
        padded.head(M.rows()) = rhs;
        c.system.solve(padded, tolerance, 500, c.free, Precision::accurate, control, y, Ay);
        CHECK((M * y.head(M.rows()) - rhs).norm() <= 1e-6 * rhs.norm());
        Matrix image(60, 1);
        std::vector<Index> blocks(c.working.blocks.begin() + 1, c.working.blocks.end());
        c.design.reference_forward(blocks, y.data(), image);
        CHECK(relative_error(Ay, image) <= 1e-10);
      }
      CHECK(c.system.effort() > 0.0);
    }
  }
}

}  // namespace
}  // namespace cvxnn
