#include "cvxnn/pricing.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

struct Priced {
  GatedProblem problem{"squared", 80, 3, 50, 2, 1};
  Matrix Theta = random_matrix(80, 2, 2);
  Vector weights = random_matrix(50, 1, 3).cwiseAbs().array() + 0.1;
  Vector scores{50};

  Priced() {
    weights[9] = 0.0;
    for (Index b = 0; b < 50; ++b) {
      const Matrix block = masked_block(problem.x, problem.patterns.view(), b);
      scores[b] = b == 9 ? 0.0 : (block.transpose() * Theta).norm() / weights[b];
    }
  }
  // Blocks by falling score.
  std::vector<Index> ranked() const {
    std::vector<Index> order = all_blocks(50);
    std::sort(order.begin(), order.end(), [&](Index a, Index b) { return scores[a] > scores[b]; });
    return order;
  }
};

TEST_CASE("the price is the largest score of a penalised block") {
  const Priced p;
  Pricing pricing(p.problem.design, p.weights, p.problem.loss->omega(), 2, 1);
  Control control;
  for (const Precision precision : {Precision::standard, Precision::accurate}) {
    CHECK(pricing.price(p.Theta, 0.0, precision, control) ==
          doctest::Approx(p.scores.maxCoeff()).epsilon(1e-13));
  }
  CHECK_FALSE(pricing.candidate(9));
  CHECK(pricing.candidate(10));
}

// More blocks than one product takes.
TEST_CASE("many blocks are priced part by part") {
  const GatedProblem problem("squared", 70, 2, 9000, 1, 7);
  const Vector weights = Vector::Ones(9000);
  Pricing pricing(problem.design, weights, problem.loss->omega(), 1, kThreads);
  const Matrix Theta = random_matrix(70, 1, 8);
  Control control;
  const double price = pricing.price(Theta, 0.0, Precision::standard, control);
  const double reference =
      reference_dual_norm(problem.design, weights, Theta, kThreads, control).value;
  CHECK(price == doctest::Approx(reference).epsilon(1e-13));
  // Scores stand where their blocks do.
  for (const Index b : pricing.violators(0.9 * price, {}, 9000)) {
    const Matrix block = masked_block(problem.x, problem.patterns.view(), b);
    CHECK((block.transpose() * Theta).norm() >= 0.9 * price * (1.0 - 1e-12));
  }
}

TEST_CASE("violators come worst first, above alpha, without the excepted") {
  const Priced p;
  Pricing pricing(p.problem.design, p.weights, p.problem.loss->omega(), 2, 1);
  Control control;
  pricing.price(p.Theta, 0.0, Precision::standard, control);
  const std::vector<Index> ranked = p.ranked();
  CHECK(pricing.violators(0.0, {}, 5) == std::vector<Index>(ranked.begin(), ranked.begin() + 5));
  CHECK(pricing.violators(0.0, {ranked[0], ranked[2]}, 2) ==
        std::vector<Index>{ranked[1], ranked[3]});
  const double alpha = 0.5 * (p.scores[ranked[6]] + p.scores[ranked[7]]);
  CHECK(pricing.violators(alpha, {}, 100) ==
        std::vector<Index>(ranked.begin(), ranked.begin() + 7));
  CHECK(pricing.violators(2.0 * p.scores.maxCoeff(), {}, 10).empty());
}

TEST_CASE("equal scores are taken by index") {
  const auto x = random_data<double>(40, 3, 4);
  Patterns patterns(40, 30);
  for (Index p = 0; p < 30; ++p) {
    for (Index i = p % 3; i < 40; i += 3) patterns.activate(i, p);
  }
  const MaskedDesign<double> design(map(x), patterns.view(), 1);
  const Vector weights = Vector::Ones(30), omega = Vector::Constant(40, 1.0 / 40.0);
  Pricing pricing(design, weights, omega, 1, kThreads);
  Control control;
  pricing.price(random_matrix(40, 1, 5), 0.0, Precision::standard, control);
  const std::vector<Index> all = pricing.violators(0.0, {}, 30);
  REQUIRE(all.size() == 30);
  for (std::size_t j = 0; j < 30; ++j) {
    if (j % 10 != 0) CHECK(all[j] == all[j - 1] + 3);
  }
}

// Every block that is non-zero at the optimum must survive any valid sphere.
TEST_CASE("screening is safe") {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const GatedProblem problem(name, 90, 3, 60, 1, 6);
    const Instance instance(problem);
    const double alpha = 0.6 * instance.alpha_max();
    const Solution best = instance.solve(alpha, with_tol(name == "huber" ? 1e-6 : 1e-10));
    for (const double share : {1e-1, 1e-3, 1e-6}) {
      const Solution rough = instance.solve(alpha, with_tol(share));
      Matrix Theta(90, 1);
      problem.loss->dual_point(instance.fit(rough), Theta);
      Pricing pricing(problem.design, instance.weights, problem.loss->omega(), 1, kThreads);
      Control control;
      const double norm = pricing.price(Theta, 0.0, Precision::standard, control);
      const double scale = problem.loss->best_scale(Theta, alpha / norm);
      const double gap = rough.certificate.primal - problem.loss->dual_value(scale * Theta);
      pricing.screen(scale, std::sqrt(2.0 * problem.loss->smoothness() * gap), alpha);
      for (const Index b : best.blocks) CHECK(pricing.candidate(b));
      if (share != 1e-6) continue;
      Index kept = 0;
      for (Index b = 0; b < 60; ++b) kept += pricing.candidate(b);
      CHECK(kept < 60);  // and of use
      pricing.reset();
      for (Index b = 0; b < 60; ++b) CHECK(pricing.candidate(b));
    }
  }
}

}  // namespace
}  // namespace cvxnn
