// Norms of blocks, their duals and their proximal steps.
#include "cvxnn/block_norm.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/operators/masked.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

const char* const kNames[] = {"frobenius", "nuclear", "columns"};

TEST_CASE("values and duals of known matrices") {
  Matrix W(2, 2);
  W << 3.0, 0.0, 0.0, -4.0;  // singular values 4 and 3
  CHECK(block_norm("frobenius").value(W) == doctest::Approx(5.0));
  CHECK(block_norm("frobenius").dual(W) == doctest::Approx(5.0));
  CHECK(block_norm("nuclear").value(W) == doctest::Approx(7.0));
  CHECK(block_norm("nuclear").dual(W) == doctest::Approx(4.0));
  W << 3.0, 1.0, 4.0, 0.0;
  CHECK(block_norm("columns").value(W) == doctest::Approx(6.0));
  CHECK(block_norm("columns").dual(W) == doctest::Approx(5.0));
  CHECK_THROWS_AS(block_norm("l1"), InvalidArgument);
}

TEST_CASE("value and dual: Hoelder's inequality, and the Frobenius norm between them") {
  for (const char* name : kNames) {
    CAPTURE(name);
    const BlockNorm& norm = block_norm(name);
    for (unsigned seed = 0; seed < 20; ++seed) {
      const Matrix W = random_matrix(5, 3, seed), G = random_matrix(5, 3, 100 + seed);
      CHECK(G.cwiseProduct(W).sum() <= norm.value(W) * norm.dual(G) * (1.0 + 1e-12));
      CHECK(norm.value(W) >= W.norm() * (1.0 - 1e-12));
      CHECK(norm.dual(G) <= G.norm() * (1.0 + 1e-12));
    }
    CHECK(norm.value(Matrix::Zero(5, 3)) == 0.0);
    CHECK(norm.dual(Matrix::Zero(5, 3)) == 0.0);
  }
}

// V = shrink(W) is the minimiser where W - V is a subgradient of cut times the norm at V: of dual
// norm at most cut, and with <W - V, V> = cut value(V).
TEST_CASE("the proximal step meets its optimality conditions") {
  for (const char* name : kNames) {
    CAPTURE(name);
    const BlockNorm& norm = block_norm(name);
    for (unsigned seed = 0; seed < 20; ++seed) {
      for (const double share : {0.1, 0.5, 0.9, 1.0, 1.5}) {
        const Matrix W = random_matrix(3, 5, seed);
        const double cut = share * norm.dual(W);
        Matrix V = W;
        norm.shrink(cut, V);
        CHECK(norm.dual(W - V) <= cut * (1.0 + 1e-12));
        CHECK((W - V).cwiseProduct(V).sum() ==
              doctest::Approx(cut * norm.value(V)).epsilon(1e-10).scale(cut));
        if (share > 1.0) CHECK(V.isZero(0.0));
        if (share < 1.0) CHECK(!V.isZero(0.0));
      }
    }
  }
}

TEST_CASE("of one column all norms are the same") {
  const Matrix w = random_matrix(7, 1, 3);
  for (const char* name : kNames) {
    Matrix v = w;
    block_norm(name).shrink(0.5, v);
    CHECK(block_norm(name).value(w) == doctest::Approx(w.norm()).epsilon(1e-14));
    CHECK(block_norm(name).dual(w) == doctest::Approx(w.norm()).epsilon(1e-14));
    CHECK(relative_error(v, (1.0 - 0.5 / w.norm()) * w) <= 1e-12);
  }
}

TEST_CASE("programs of every norm are solved, and screening drops no block of theirs") {
  for (const char* name : kNames) {
    CAPTURE(name);
    GatedProblem problem("squared", 60, 4, 30, 3, 5);
    problem.design.set_norm(block_norm(name));
    const Instance instance(problem);
    const double alpha = 0.2 * instance.alpha_max();
    Settings settings = with_tol(1e-9);
    const Solution screened = instance.solve(alpha, settings);
    settings.screening = false;
    const Solution plain = instance.solve(alpha, settings);
    CHECK(screened.status == Status::optimal);
    CHECK(screened.certificate.primal == doctest::Approx(plain.certificate.primal).epsilon(1e-8));
    double objective = problem.loss->value(instance.fit(screened));
    instance.for_each_block(
        screened, [&](Index, const Matrix& W) { objective += alpha * block_norm(name).value(W); });
    CHECK(screened.certificate.primal == doctest::Approx(objective).epsilon(1e-12));
  }
}

TEST_CASE("methods that rely on the Frobenius norm refuse others") {
  GatedProblem problem("squared", 30, 3, 10, 2, 6);
  problem.design.set_norm(block_norm("nuclear"));
  for (const Method method : {Method::bcd, Method::newton}) {
    Settings settings;
    settings.method = method;
    CHECK_THROWS_AS(Instance(problem).solver(settings), InvalidArgument);
  }
}

}  // namespace
}  // namespace cvxnn
