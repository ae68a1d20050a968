#include "cvxnn/operators/dense.hpp"
#include "cvxnn/working_set.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

struct Fixture {
  DataMatrix<double> x = random_data<double>(10, 9, 1);
  DenseDesign<double> design{map(x), {0, 2, 3, 7, 9}, 1};
  Vector weights = (Vector(4) << 1.0, 2.0, 0.5, 3.0).finished();
  WorkingSet working;

  explicit Fixture(Index n_outputs) {
    working.n_outputs = n_outputs;
    working.starts = {0};
  }
};

std::vector<double> levels(const WorkingSet& working) {
  std::vector<double> found;
  for (const BlockPenalty& penalty : working.penalties) found.push_back(penalty.level);
  return found;
}

TEST_CASE("a reset keeps the coefficients of blocks that stay") {
  Fixture f(2);
  f.working.reset(f.design, {3, 0, 2}, f.weights, 0.1);
  CHECK(f.working.size() == 3);
  CHECK(f.working.starts == std::vector<Index>{0, 4, 8, 16});
  CHECK(levels(f.working) == std::vector<double>{0.1 * 3.0, 0.1 * 1.0, 0.1 * 0.5});
  CHECK(f.working.coefs == Vector::Zero(16));
  f.working.coefs = random_matrix(16, 1, 2);
  const WorkingSet before = f.working;

  f.working.reset(f.design, {2, 1, 3}, f.weights, 0.2);
  CHECK(f.working.block(f.working.coefs, 0) == before.block(before.coefs, 2));
  CHECK(f.working.block(f.working.coefs, 1).isZero(0.0));
  CHECK(f.working.block(f.working.coefs, 2) == before.block(before.coefs, 0));
  CHECK(levels(f.working) == std::vector<double>{0.2 * 0.5, 0.2 * 2.0, 0.2 * 3.0});
}

TEST_CASE("the penalty and the number of active blocks") {
  Fixture f(1);
  f.working.reset(f.design, {1, 2, 0}, f.weights, 0.1);
  CHECK(f.working.penalty(f.working.coefs) == 0.0);
  CHECK(f.working.n_active() == 0);
  f.working.coefs << -2.0, 0.0, 3.0, -4.0, 0.0, 0.0, 0.0;
  CHECK(f.working.n_active() == 2);
  CHECK(f.working.active(0));
  CHECK_FALSE(f.working.active(2));
  CHECK(f.working.penalty(f.working.coefs) ==
        doctest::Approx(0.1 * (2.0 * 2.0 + 0.5 * 5.0)).epsilon(1e-15));
}

}  // namespace
}  // namespace cvxnn
