#include <Eigen/Dense>
#include <tuple>

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

  Case(Index n, Index d, Index m, Index c, const Matrix& columns, double alpha, double l2_ratio)
      : x(random_data<double>(n, d, 1)),
        patterns(random_patterns(n, m, 2)),
        design(map(x), patterns.view(), 1),
        h(random_matrix(n, 1, 5).cwiseAbs() / static_cast<double>(n)),
        free(columns, c),
        spectra(design, 1),
        system(design, spectra, 1) {
    design.set_penalty(block_norm("frobenius"), l2_ratio);
    working.n_outputs = c;
    working.starts = {0};
    working.reset(design, all_blocks(m), Vector::Ones(m), alpha);
    working.coefs = random_matrix(m * d * c, 1, 3);
    working.block(working.coefs, 0).setZero();
    free.set_curvature(h);
    spectra.prepare(working.blocks, h);
    system.reserve(working);
    system.set(working, working.coefs, h);
  }

  // The matrix of the system, block by block.
  Matrix dense() const {
    const Index n = design.n_samples(), d = x.cols(), m = working.size() - 1;
    const Index c = working.n_outputs, size = d * c;
    Matrix M(size * m, size * m), B(n * c, size * m);
    B.setZero();  // outputs below each other
    for (Index j = 0; j < m; ++j) {
      Matrix block(n, d);
      design.dense_block(j + 1, block);
      block = h.cwiseSqrt().asDiagonal() * block;
      if (free.size() > 0) block -= free.basis() * (free.basis().transpose() * block);
      for (Index k = 0; k < c; ++k) B.block(k * n, j * size + k * d, n, d) = block;
    }
    M = B.transpose() * B;
    for (Index j = 0; j < m; ++j) {
      const Vector w = working.entries(working.coefs, j + 1);
      const Vector u = w.normalized();
      M.block(j * size, j * size, size, size) +=
          working.penalties[j + 1].level / w.norm() *
              (Matrix::Identity(size, size) - u * u.transpose()) +
          working.penalties[j + 1].ridge * Matrix::Identity(size, size);
    }
    return M;
  }
};

void check_solves(Case& c, Index n_outputs) {
  const Matrix M = c.dense();
  const Vector rhs = M * random_matrix(M.rows(), 1, 8);
  Control control;
  for (const double tolerance : {1e-10, 1e-2}) {
    Vector y(c.working.coefs.size());
    Matrix Ay(60, n_outputs);
    Vector padded = Vector::Zero(c.working.coefs.size());
    padded.head(M.rows()) = rhs;
    if (n_outputs > 1 && tolerance > 1e-9) continue;
    c.system.solve(padded, tolerance, 500, c.free, Precision::accurate, control, y, Ay);
    CHECK((M * y.head(M.rows()) - rhs).norm() <= 1e-6 * rhs.norm());
    Matrix image(60, n_outputs);
    std::vector<Index> blocks(c.working.blocks.begin() + 1, c.working.blocks.end());
    c.design.reference_forward(blocks, y.data(), image);
    CHECK(relative_error(Ay, image) <= 1e-10);
  }
  CHECK(c.system.effort() > 0.0);
}

// For one output the second solve is by a factorisation: the first took all its iterations.
TEST_CASE("conjugate gradients and the factorisation over samples solve the same system") {
  for (const Matrix& columns : {Matrix(60, 0), intercept(60), random_matrix(60, 4, 7)}) {
    for (const auto& [d, m, n_outputs] :
         {std::tuple<Index, Index, Index>{5, 9, 1}, {9, 5, 1}, {4, 3, 3}}) {
      for (const double l2_ratio : {0.0, 1e-4, 0.5}) {
        Case c(60, d, m, n_outputs, columns, 1e-2, l2_ratio);
        check_solves(c, n_outputs);
      }
    }
  }
}

}  // namespace
}  // namespace cvxnn
