// The elastic net: a norm and a ridge, and the programs that it regularises.
#include "cvxnn/block_penalty.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/operators/signed.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr double kLevel = 0.7, kRidge = 0.4;

Settings with(Method method, double tol) {
  Settings settings = with_tol(tol);
  settings.method = method;
  settings.max_iter = 10000;
  return settings;
}

TEST_CASE("the value is that of its two parts, and without a ridge that of the norm") {
  const auto norm = block_norm("frobenius");
  Matrix W(2, 1);
  W << 3.0, -4.0;
  CHECK(BlockPenalty{norm.get(), 2.0, 0.5}.value(W) == doctest::Approx(2.0 * 5.0 + 0.25 * 25.0));
  CHECK(BlockPenalty{norm.get(), 2.0, 0.0}.value(W) == doctest::Approx(10.0));
  const GatedProblem problem("squared", 10, 3, 4, 1, 1);
  const BlockPenalty plain = problem.design.penalty(0.3);
  CHECK(plain.level == 0.3);
  CHECK(plain.ridge == 0.0);
}

// <G, W> - value(W) along the line through G, where its maximum is.
TEST_CASE("the conjugate is the largest difference") {
  const auto norm = block_norm("frobenius");
  const BlockPenalty penalty{norm.get(), kLevel, kRidge};
  for (const double length : {0.3, 0.7, 0.71, 1.0, 5.0}) {
    const Matrix G = length * random_matrix(4, 3, 2).normalized();
    double best = 0.0;
    for (double t = 0.0; t <= 15.0; t += 1e-3) {
      const Matrix W = t * G / length;
      best = std::max(best, G.cwiseProduct(W).sum() - penalty.value(W));
    }
    CHECK(penalty.conjugate(length) == doctest::Approx(best).epsilon(1e-6));
    for (unsigned seed = 0; seed < 20; ++seed) {
      const Matrix W = random_matrix(4, 3, seed);
      CHECK(G.cwiseProduct(W).sum() <= penalty.value(W) + penalty.conjugate(length) + 1e-12);
    }
  }
  const BlockPenalty plain{norm.get(), kLevel, 0.0};
  CHECK(plain.conjugate(kLevel) == 0.0);
  CHECK(std::isinf(plain.conjugate(kLevel * (1.0 + 1e-15))));
}

TEST_CASE("the proximal step is a minimiser") {
  const auto norm = block_norm("frobenius");
  for (const double ridge : {0.0, kRidge}) {
    const BlockPenalty penalty{norm.get(), kLevel, ridge};
    for (const double curvature : {0.5, 3.0}) {
      const Matrix W = random_matrix(4, 3, 3);
      const auto objective = [&](const Matrix& V) {
        return 0.5 * curvature * (V - W).squaredNorm() + penalty.value(V);
      };
      Matrix V = W;
      penalty.shrink(curvature, V);
      CHECK_FALSE(V.isZero(0.0));
      for (unsigned seed = 0; seed < 20; ++seed) {
        const Matrix step = 1e-4 * random_matrix(4, 3, 10 + seed);
        CHECK(objective(V) < objective(V + step));
        CHECK(objective(V) < objective(V - step));
      }
      Matrix small = kLevel / curvature * W.normalized();
      penalty.shrink(curvature, small);
      CHECK(small.isZero(1e-15));
    }
  }
}

TEST_CASE("every method finds the one optimum, to a small gap") {
  for (const std::string& loss : loss_names()) {
    for (const Index n_outputs : {1, 3}) {
      for (const double l2_ratio : {1e-6, 0.1, 0.9}) {
        CAPTURE(loss);
        CAPTURE(l2_ratio);
        GatedProblem problem(loss, 80, 4, 20, n_outputs, 5);
        problem.design.set_penalty(block_norm("frobenius"), l2_ratio);
        Instance instance(problem, intercept(80));
        instance.weights = random_matrix(20, 1, 6).cwiseAbs().array() + 0.3;
        const double alpha = 0.1 * instance.alpha_max();
        const Solution first = instance.solve(alpha, with(Method::automatic, 1e-9));
        CHECK(first.status == Status::optimal);
        CHECK(instance.objective(first) ==
              doctest::Approx(first.certificate.primal).epsilon(1e-12));
        for (const Method method : {Method::bcd, Method::fista, Method::newton}) {
          CAPTURE(static_cast<int>(method));
          const Solution other = instance.solve(alpha, with(method, 1e-8));
          CHECK(other.status == Status::optimal);
          CHECK(other.certificate.primal ==
                doctest::Approx(first.certificate.primal).epsilon(2e-8));
        }
      }
    }
  }
}

// At the optimum of a strongly convex penalty W_b follows from the dual point alone.
TEST_CASE("blocks are the gradients of the conjugates at the dual point") {
  GatedProblem problem("squared", 60, 4, 20, 2, 7);
  problem.design.set_penalty(block_norm("frobenius"), 0.5);
  const Instance instance(problem);
  const double alpha = 0.1 * instance.alpha_max();
  const Solution solution = instance.solve(alpha, with(Method::automatic, 1e-13));
  const BlockPenalty penalty = problem.design.penalty(alpha);
  Index n_active = 0;
  for (Index b = 0; b < 20; ++b) {
    const Matrix G = instance.block(b).transpose() * solution.certificate.Theta;
    if (G.norm() > penalty.level) ++n_active;
  }
  CHECK(n_active == static_cast<Index>(solution.blocks.size()));
  instance.for_each_block(solution, [&](Index b, const Matrix& W) {
    const Matrix G = instance.block(b).transpose() * solution.certificate.Theta;
    CHECK(relative_error((1.0 - penalty.level / G.norm()) / penalty.ridge * G, W) <= 1e-4);
  });
}

TEST_CASE("alpha_max is where the first block leaves zero") {
  for (const double l2_ratio : {0.2, 0.8}) {
    GatedProblem problem("squared", 60, 4, 20, 1, 8);
    const double plain = Instance(problem).alpha_max();
    problem.design.set_penalty(block_norm("frobenius"), l2_ratio);
    const Instance instance(problem);
    const double largest = instance.alpha_max();
    CHECK(largest == doctest::Approx(plain / (1.0 - l2_ratio)).epsilon(1e-14));
    CHECK(instance.solve(largest * (1.0 + 1e-9), with_tol(1e-12)).blocks.empty());
    CHECK_FALSE(instance.solve(largest * (1.0 - 1e-6), with_tol(1e-13)).blocks.empty());
  }
}

TEST_CASE("screening and threads change nothing, nor does a path") {
  GatedProblem problem("logistic", 90, 5, 200, 1, 9);
  problem.design.set_penalty(block_norm("frobenius"), 0.3);
  const Instance instance(problem);
  Control control;
  Solver path = instance.solver(with_tol(1e-8));
  for (const double share : {0.5, 0.2, 0.1, 0.05}) {
    const double alpha = share * instance.alpha_max();
    Settings settings = with_tol(1e-8);
    const Solution screened = instance.solve(alpha, settings);
    settings.n_threads = kThreads + 1;
    CHECK(same_solution(screened, instance.solve(alpha, settings)));
    settings.screening = false;
    const Solution plain = instance.solve(alpha, settings);
    const double optimum = plain.certificate.primal;
    CHECK(screened.certificate.primal == doctest::Approx(optimum).epsilon(1e-8));
    CHECK(path.solve(alpha, control).certificate.primal == doctest::Approx(optimum).epsilon(1e-8));
  }
}

// With the larger share more blocks are non-zero than pricing would else project.
TEST_CASE("blocks in cones") {
  const DataMatrix<double> x = random_data<double>(60, 4, 10);
  const DataMatrix<double> gates = random_data<double>(4, 300, 11);
  Patterns patterns(60, 300);
  pack_patterns(map(x), map(gates), Vector(), kThreads, patterns.words().data());
  for (const std::string& name : loss_names()) {
    const auto loss = random_loss(name, 60, 1, 12);
    for (const double l2_ratio : {1e-6, 0.2, 0.95}) {
      CAPTURE(name);
      CAPTURE(l2_ratio);
      SignedDesign design(std::make_unique<MaskedDesign<double>>(map(x), patterns.view(), kThreads),
                          ActivationCones(map(x), patterns.view()));
      design.set_penalty(block_norm("frobenius"), l2_ratio);
      const Instance instance(design, *loss, intercept(60));
      const double largest = instance.alpha_max();
      CHECK(instance.solve(largest * (1.0 + 1e-6), with_tol(1e-9)).blocks.empty());
      const Solution solution = instance.solve(0.1 * largest, with(Method::automatic, 1e-8));
      CHECK(solution.status == Status::optimal);
      CHECK(instance.objective(solution) ==
            doctest::Approx(solution.certificate.primal).epsilon(1e-12));
      const Solution other = instance.solve(0.1 * largest, with(Method::fista, 1e-8));
      CHECK(other.certificate.primal == doctest::Approx(solution.certificate.primal).epsilon(2e-8));
      if (l2_ratio > 0.9 && name == "squared") CHECK(solution.blocks.size() > 64);
    }
  }
}

TEST_CASE("what has no ridge is refused") {
  GatedProblem problem("squared", 30, 3, 10, 1, 13);
  for (const double l2_ratio : {-0.1, 1.0, std::nan("")}) {
    CHECK_THROWS_AS(problem.design.set_penalty(block_norm("frobenius"), l2_ratio), InvalidArgument);
  }
  CHECK_THROWS_AS(problem.design.set_penalty(block_norm("nuclear"), 0.5), InvalidArgument);
  problem.design.set_penalty(block_norm("frobenius"), 0.5);
  Settings settings;
  settings.method = Method::interior_point;
  CHECK_THROWS_AS(Instance(problem).solver(settings), InvalidArgument);
}

}  // namespace
}  // namespace cvxnn
