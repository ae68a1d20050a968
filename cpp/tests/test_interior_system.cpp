#include <Eigen/Dense>

#include "cvxnn/interior_system.hpp"
#include "cvxnn/operators/masked.hpp"
#include "cvxnn/unpenalised.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 90, kFeatures = 4, kBlocks = 7;

struct Case {
  DataMatrix<double> x;
  Patterns patterns;
  MaskedDesign<double> design;
  WorkingSet working;
  Vector root;
  Matrix free;
  InteriorSystem system;
  Vector a, w;

  // scale: of the first feature, beside the others.
  Case(const Matrix& columns, double scale)
      : x(random_data<double>(kSamples, kFeatures, 1)),
        patterns(random_patterns(kSamples, kBlocks, 2)),
        design(map(x), patterns.view(), 1),
        root(random_matrix(kSamples, 1, 5).cwiseAbs()),
        system(design, 1),
        a(random_matrix(kBlocks, 1, 3).cwiseAbs()),
        w(random_matrix(kBlocks * kFeatures, 1, 4)) {
    x.col(0) *= scale;
    root[3] = 0.0;  // a sample of no weight
    working.starts = {0};
    working.reset(design, all_blocks(kBlocks), Vector::Ones(kBlocks), 1.0);
    Unpenalised unpenalised(columns, 1);
    unpenalised.set_curvature(root.cwiseAbs2());
    free = unpenalised.basis();
    system.start(working, root, free);
  }

  Matrix dense() const {
    Matrix S = Matrix::Identity(kSamples, kSamples);
    for (Index j = 0; j < kBlocks; ++j) {
      const Matrix B = root.asDiagonal() * masked_block(x, patterns.view(), j);
      const Vector v = w.segment(j * kFeatures, kFeatures);
      S += a[j] * B * (Matrix::Identity(kFeatures, kFeatures) + 2.0 * v * v.transpose()) *
           B.transpose();
    }
    return S;
  }

  // That S v is r but for the span of the free columns, to which v is orthogonal.
  void check_solution(double tolerance) {
    Control control;
    REQUIRE(system.set(working, a, w, control));
    const Vector r = random_matrix(kSamples, 1, 6);
    for (const unsigned guess : {0U, 8U}) {
      Vector v = Vector::Zero(kSamples);
      if (guess > 0) {
        v = random_matrix(kSamples, 1, guess);
        project_out(free, v);
      }
      REQUIRE(system.solve(working, r, tolerance, control, v));
      Vector residual = r - dense() * v;
      project_out(free, residual);
      CHECK(residual.norm() <= 2.0 * tolerance);
      Vector orthogonal = v;
      project_out(free, orthogonal);
      CHECK((v - orthogonal).norm() <= 1e-10 * v.norm());
    }
  }
};

TEST_CASE("an older factor serves systems whose scales have moved") {
  for (const Matrix& columns :
       {Matrix(kSamples, 0), intercept(kSamples), random_matrix(kSamples, 3, 7)}) {
    Case c(columns, 1.0);
    c.check_solution(1e-6);
    for (int step = 0; step < 6; ++step) {
      c.a = c.a.cwiseProduct(Vector::LinSpaced(kBlocks, 0.3, 1.5));
      c.w.head(3 * kFeatures) *= 3.0;  // blocks that will not be zero
      c.check_solution(1e-6);
    }
  }
}

TEST_CASE("systems beyond the digits of floats are solved too") {
  Case c(intercept(kSamples), 1e4);
  c.check_solution(1e-4);
  c.a *= 0.5;
  c.check_solution(1e-4);
}

}  // namespace
}  // namespace cvxnn
