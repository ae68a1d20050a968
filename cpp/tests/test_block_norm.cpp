// Norms of blocks, their duals and their proximal steps.
#include <functional>
#include <utility>

#include "cvxnn/block_norm.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/operators/masked.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

const std::pair<const char*, double> kNorms[] = {{"frobenius", 0.0},
                                                 {"nuclear", 0.0},
                                                 {"columns", 0.0},
                                                 {"sparse_group", 0.2},
                                                 {"sparse_group", 0.95}};

TEST_CASE("values and duals of known matrices") {
  Matrix W(2, 2);
  W << 3.0, 0.0, 0.0, -4.0;  // singular values 4 and 3
  CHECK(block_norm("frobenius")->value(W) == doctest::Approx(5.0));
  CHECK(block_norm("frobenius")->dual(W) == doctest::Approx(5.0));
  CHECK(block_norm("nuclear")->value(W) == doctest::Approx(7.0));
  CHECK(block_norm("nuclear")->dual(W) == doctest::Approx(4.0));
  CHECK(block_norm("sparse_group", 0.5)->value(W) == doctest::Approx(6.0));
  W << 3.0, 1.0, 4.0, 0.0;
  CHECK(block_norm("columns")->value(W) == doctest::Approx(6.0));
  CHECK(block_norm("columns")->dual(W) == doctest::Approx(5.0));
  W << 2.0, 0.0, -2.0, 0.0;  // two entries of 2 - nu / 2, against nu / 2
  CHECK(block_norm("sparse_group", 0.5)->dual(W) ==
        doctest::Approx(4.0 * std::sqrt(2.0) / (1.0 + std::sqrt(2.0))));
  for (const double l1_ratio : {-0.1, 1.0, std::nan("")}) {
    CHECK_THROWS_AS(block_norm("sparse_group", l1_ratio), InvalidArgument);
  }
  CHECK_THROWS_AS(block_norm("l1"), InvalidArgument);
}

TEST_CASE("a folded block is a matrix of given rows, in column-major order") {
  const auto folded = block_norm("nuclear", 0.0, 2), plain = block_norm("nuclear");
  const Matrix W = random_matrix(6, 3, 7);
  const Matrix same = Eigen::Map<const Matrix>(W.data(), 2, 9);
  CHECK(folded->value(W) == plain->value(same));
  CHECK(folded->dual(W) == plain->dual(same));
  Matrix shrunk = W, expected = same;
  folded->shrink(0.5 * plain->dual(same), shrunk);
  plain->shrink(0.5 * plain->dual(same), expected);
  CHECK(shrunk.reshaped() == expected.reshaped());
  CHECK(folded->value(W.col(0)) == plain->value(same.leftCols(3)));  // one output, three positions
  CHECK_THROWS_AS(block_norm("nuclear", 0.0, 4)->value(W), InvalidArgument);
  CHECK_THROWS_AS(block_norm("nuclear", 0.0, -1), InvalidArgument);
}

TEST_CASE("value and dual: Hoelder's inequality, and the Frobenius norm between them") {
  for (const auto& kind : kNorms) {
    CAPTURE(kind.first);
    const auto made = block_norm(kind.first, kind.second);
    const BlockNorm& norm = *made;
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
  for (const auto& kind : kNorms) {
    CAPTURE(kind.first);
    const auto made = block_norm(kind.first, kind.second);
    const BlockNorm& norm = *made;
    for (unsigned seed = 0; seed < 20; ++seed) {
      for (const double share : {0.1, 0.5, 1.0 - 1e-9, 1.0, 1.0 + 1e-9}) {
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

TEST_CASE("of one column all norms but the sparse one are the same") {
  const Matrix w = random_matrix(7, 1, 3);
  for (const char* name : {"frobenius", "nuclear", "columns", "sparse_group"}) {
    const auto norm = block_norm(name, 0.0);
    Matrix v = w;
    norm->shrink(0.5, v);
    CHECK(norm->value(w) == doctest::Approx(w.norm()).epsilon(1e-14));
    CHECK(norm->dual(w) == doctest::Approx(w.norm()).epsilon(1e-14));
    CHECK(relative_error(v, (1.0 - 0.5 / w.norm()) * w) <= 1e-12);
  }
}

// ||(|g| - t nu)_+|| = (1 - t) nu over the k largest entries is a quadratic equation, and k is
// where its root lies between the kinks of entries k and k + 1.
double epsilon_norm_by_sorting(const Matrix& G, double t) {
  std::vector<double> g(G.data(), G.data() + G.size());
  for (double& value : g) value = std::abs(value);
  std::sort(g.begin(), g.end(), std::greater<>());
  g.push_back(0.0);
  double sum = 0.0, squares = 0.0;
  for (std::size_t k = 1; k < g.size(); ++k) {
    sum += g[k - 1];
    squares += g[k - 1] * g[k - 1];
    const double a = static_cast<double>(k) * t * t - (1.0 - t) * (1.0 - t), b = t * sum;
    const double nu = squares / (b + std::sqrt(std::max(0.0, b * b - a * squares)));
    if (t * nu >= g[k]) return nu;
  }
  return 0.0;
}

TEST_CASE("the dual of the sparse norm solves its equation") {
  for (const double l1_ratio : {1e-6, 0.1, 0.5, 0.9, 0.999}) {
    const auto norm = block_norm("sparse_group", l1_ratio);
    for (unsigned seed = 0; seed < 20; ++seed) {
      Matrix G = random_matrix(6, 4, seed).array().pow(3);  // entries of many sizes
      if (seed % 2 == 0) G.topRows(3).setZero();
      if (seed % 3 == 0) G = G.array().sign();  // and of one
      CHECK(norm->dual(G) == doctest::Approx(epsilon_norm_by_sorting(G, l1_ratio)).epsilon(1e-12));
      CHECK(norm->dual(1e-100 * G) == doctest::Approx(1e-100 * norm->dual(G)).epsilon(1e-12));
    }
  }
}

TEST_CASE("the proximal step of the sparse norm makes zeros inside blocks") {
  Matrix W = random_matrix(8, 2, 4);
  const Matrix before = W;
  block_norm("sparse_group", 0.5)->shrink(1.0, W);
  CHECK(!W.isZero(0.0));
  for (Index k = 0; k < W.size(); ++k) {
    CHECK((W.data()[k] == 0.0) == (std::abs(before.data()[k]) <= 0.5));
  }
}

TEST_CASE("programs of every norm are solved, and screening drops no block of theirs") {
  for (const auto& kind : kNorms) {
    CAPTURE(kind.first);
    const auto made = block_norm(kind.first, kind.second);
    const BlockNorm& norm = *made;
    GatedProblem problem("squared", 60, 4, 30, 3, 5);
    problem.design.set_penalty(made);
    const Instance instance(problem);
    const double alpha = 0.2 * instance.alpha_max();
    Settings settings = with_tol(1e-9);
    const Solution screened = instance.solve(alpha, settings);
    settings.screening = false;
    const Solution plain = instance.solve(alpha, settings);
    CHECK(screened.status == Status::optimal);
    CHECK(screened.certificate.primal == doctest::Approx(plain.certificate.primal).epsilon(1e-8));
    double objective = problem.loss->value(instance.fit(screened));
    instance.for_each_block(screened,
                            [&](Index, const Matrix& W) { objective += alpha * norm.value(W); });
    CHECK(screened.certificate.primal == doctest::Approx(objective).epsilon(1e-12));
  }
}

TEST_CASE("methods that rely on the Frobenius norm refuse others") {
  GatedProblem problem("squared", 30, 3, 10, 2, 6);
  problem.design.set_penalty(block_norm("nuclear"));
  for (const Method method : {Method::bcd, Method::newton, Method::interior_point}) {
    Settings settings;
    settings.method = method;
    CHECK_THROWS_AS(Instance(problem).solver(settings), InvalidArgument);
  }
}

}  // namespace
}  // namespace cvxnn
