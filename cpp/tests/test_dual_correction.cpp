#include <Eigen/Dense>

#include "cvxnn/dual_correction.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// Blocks 1, 2 .. of a problem at a dual point that the unpenalised columns allow.
struct Case {
  static constexpr Index kFeatures = 4, kBlocks = 7;

  GatedProblem problem;
  Vector h;
  Unpenalised free;
  Matrix theta;
  std::vector<Index> blocks;

  Case(Index n, Index n_outputs, const Matrix& columns)
      : problem("squared", n, kFeatures, kBlocks, n_outputs, 1),
        h(random_matrix(n, 1, 2).cwiseAbs() / static_cast<double>(n)),
        free(columns, n_outputs),
        theta(h.asDiagonal() * random_matrix(n, n_outputs, 3)) {
    free.set_curvature(h);
    free.project(theta);
    for (Index b = 1; b < kBlocks; ++b) blocks.push_back(b);
  }

  Matrix gradient(std::size_t j, const Matrix& Theta) const {
    return masked_block(problem.x, problem.patterns.view(), blocks[j]).transpose() * Theta;
  }

  Vector norms(const Matrix& Theta) const {
    Vector out(static_cast<Index>(blocks.size()));
    for (std::size_t j = 0; j < blocks.size(); ++j) out[j] = gradient(j, Theta).norm();
    return out;
  }

  Matrix corrected(const Vector& limits, int n_threads = kThreads) {
    DualCorrection correction(problem.design, n_threads);
    Control control;
    Matrix out = theta;
    correction.apply(blocks, limits, h, free, control, out);
    return out;
  }
};

template <class Fn>
void for_each_case(Fn&& fn) {
  for (const Index n : {40, 5000}) {  // one strip of samples, and two
    for (const Index n_outputs : {1, 3}) {
      for (const Matrix& columns : {Matrix(n, 0), intercept(n), random_matrix(n, 3, 4)}) {
        CAPTURE(n);
        CAPTURE(n_outputs);
        CAPTURE(columns.cols());
        Case c(n, n_outputs, columns);
        fn(c);
      }
    }
  }
}

TEST_CASE("the corrected point is the nearest one on the linearised constraints") {
  for_each_case([](Case& c) {
    const Index n = c.theta.rows(), m = static_cast<Index>(c.blocks.size());
    const Vector norms = c.norms(c.theta);
    const Vector limits = norms.cwiseProduct((1.0 + 0.1 * random_matrix(m, 1, 5).array()).matrix());
    // K, outputs below each other, without what the unpenalised columns span.
    Matrix K(n * c.theta.cols(), m);
    const Vector root = c.h.cwiseSqrt();
    for (Index j = 0; j < m; ++j) {
      const auto b = static_cast<std::size_t>(j);
      Matrix image =
          root.asDiagonal() * (masked_block(c.problem.x, c.problem.patterns.view(), c.blocks[b]) *
                               c.gradient(b, c.theta) / norms[j]);
      c.free.project_weighted(image);
      K.col(j) = image.reshaped();
    }
    const Vector lambda = (K.transpose() * K).ldlt().solve(limits - norms);
    const Vector step = K * lambda;
    const Matrix wanted = c.theta + root.asDiagonal() * step.reshaped(n, c.theta.cols());
    const Matrix got = c.corrected(limits);
    CHECK(relative_error(got, wanted) < 1e-9);
    CHECK(c.free.orthogonal(got));
  });
}

TEST_CASE("what violations are left is of second order") {
  for_each_case([](Case& c) {
    const Vector norms = c.norms(c.theta);
    const Vector direction = random_matrix(norms.size(), 1, 5);
    double before = 0.0;
    for (const double size : {1e-2, 1e-3, 1e-4}) {
      const Vector limits = norms.cwiseProduct((1.0 + size * direction.array()).matrix());
      const double left = (c.norms(c.corrected(limits)) - limits).norm();
      if (size < 1e-2) CHECK(left < 0.05 * before);
      before = left;
    }
  });
}

TEST_CASE("equal patterns, and any number of threads") {
  Case c(5000, 2, intercept(5000));
  c.blocks.push_back(c.blocks.front());
  const Vector limits = 0.99 * c.norms(c.theta);
  const Matrix once = c.corrected(limits, 1);
  CHECK((c.norms(once) - limits).norm() < 1e-2 * (c.norms(c.theta) - limits).norm());
  for (const int n_threads : {2, 3}) CHECK(same_bits(once, c.corrected(limits, n_threads)));
}

TEST_CASE("a point with infinite limits stays") {
  Case c(40, 1, intercept(40));
  const Vector limits = Vector::Constant(static_cast<Index>(c.blocks.size()), INFINITY);
  CHECK(same_bits(c.corrected(limits), c.theta));
}

}  // namespace
}  // namespace cvxnn
