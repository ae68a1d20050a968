// The ReLU program: both signs of each block, in the cones of the patterns.
#include <limits>
#include <numeric>

#include "cvxnn/augmented_lagrangian.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/operators/signed.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

Patterns gate_patterns(const DataMatrix<double>& x, const DataMatrix<double>& gates) {
  Patterns patterns(x.rows(), gates.cols());
  pack_patterns(map(x), map(gates), Vector(), kThreads, patterns.words().data());
  return patterns;
}

struct ReluProblem {
  DataMatrix<double> x, gates;
  Patterns patterns;
  std::unique_ptr<Loss> loss;
  SignedDesign design;

  ReluProblem(const std::string& loss_name, Index n, Index d, Index n_patterns, unsigned seed,
              int n_threads = kThreads)
      : x(random_data<double>(n, d, seed)),
        gates(random_data<double>(d, n_patterns, seed + 1)),
        patterns(gate_patterns(x, gates)),
        loss(random_loss(loss_name, n, 1, seed + 2)),
        design(std::make_unique<MaskedDesign<double>>(map(x), patterns.view(), n_threads),
               ActivationCones(map(x), patterns.view())) {}
};

Settings with(Method method, double tol) {
  Settings settings = with_tol(tol);
  settings.method = method;
  settings.max_iter = 3000;
  return settings;
}

// Every block is in its cone.
double violation(const ReluProblem& problem, const Instance& instance, const Solution& solution) {
  double worst = 0.0;
  Vector signs(problem.x.rows());
  instance.for_each_block(solution, [&](Index b, const Matrix& W) {
    problem.design.cones()->signs(b, signs);
    const Vector margins = signs.asDiagonal() * problem.design.cones()->rows(b) * W;
    worst = std::max(worst, -margins.minCoeff() / W.norm());
  });
  return worst;
}

TEST_CASE("projected gradients and the augmented Lagrangian find the same optimum") {
  for (const std::string& name : loss_names()) {
    for (const Matrix& free : {Matrix(60, 0), intercept(60)}) {
      CAPTURE(name);
      const ReluProblem problem(name, 60, 4, 15, 1);
      Instance instance(problem.design, *problem.loss, free);
      instance.weights = random_matrix(30, 1, 5).cwiseAbs().array() + 0.5;
      for (const double share : {0.5, 0.1}) {
        const double alpha = share * instance.alpha_max();
        const Solution exact = instance.solve(alpha, with(Method::automatic, 1e-9));
        CHECK(exact.status == Status::optimal);
        CHECK(violation(problem, instance, exact) <= 1e-11);
        CHECK(instance.objective(exact) ==
              doctest::Approx(exact.certificate.primal).epsilon(1e-12));
        const Solution fista = instance.solve(alpha, with(Method::fista, 1e-6));
        CHECK(fista.status == Status::optimal);
        CHECK(violation(problem, instance, fista) <= 1e-11);
        CHECK(fista.certificate.primal ==
              doctest::Approx(exact.certificate.primal).epsilon(1.1e-6));
        CHECK(fista.certificate.dual <= exact.certificate.primal);
        CHECK(exact.certificate.dual <= fista.certificate.primal);
      }
    }
  }
}

TEST_CASE("alpha_max of the ReLU program is where its solution becomes zero") {
  const ReluProblem problem("squared", 80, 5, 25, 11);
  const Instance instance(problem.design, *problem.loss, intercept(80));
  const double alpha_max = instance.alpha_max();
  const GatedProblem gated("squared", 80, 5, 25, 1, 11);
  CHECK(instance.solve(1.0001 * alpha_max, with_tol(1e-9)).blocks.empty());
  CHECK_FALSE(instance.solve(0.9999 * alpha_max, with_tol(1e-9)).blocks.empty());
}

// Half of the patterns twice: what is not projected for being no larger must not be the largest.
TEST_CASE("prices and the certificate agree on the dual norm") {
  const ReluProblem problem("squared", 50, 4, 300, 21);
  const Vector weights = random_matrix(600, 1, 22).cwiseAbs().array() + 0.5;
  Pricing pricing(problem.design, weights, problem.loss->omega(), 1, 2);
  Control control;
  for (unsigned seed = 23; seed < 28; ++seed) {
    const Matrix Theta = random_matrix(50, 1, seed);
    const double norm = reference_dual_norm(problem.design, weights, Theta, 2, control).value;
    Vector scores(600);
    for (Index b = 0; b < 600; ++b) {
      Matrix G(4, 1);
      problem.design.gradient(b, Theta, G);
      scores[b] = problem.design.restrict(b, G) / weights[b];
    }
    CHECK(norm == doctest::Approx(scores.maxCoeff()).epsilon(1e-12));
    const auto from = [&](const Matrix& point, double enough) {
      return reference_dual_norm(problem.design, weights, point, 2, control,
                                 std::numeric_limits<double>::infinity(), enough,
                                 pricing.projections())
          .value;
    };
    for (const double alpha : {0.0, 0.5 * norm, 0.99 * norm}) {
      const double price = pricing.price(Theta, alpha, Precision::accurate, control);
      CHECK(price == doctest::Approx(norm).epsilon(1e-12));
      for (const Index b : pricing.violators(alpha, {}, 20)) CHECK(scores[b] > alpha);
      const std::vector<Index> worst = pricing.violators(alpha, {}, 1);
      REQUIRE(worst.size() == 1);
      CHECK(scores[worst[0]] == doctest::Approx(norm).epsilon(1e-12));
    }
    const Matrix near = Theta + 0.01 * random_matrix(50, 1, seed + 10);
    const double there = reference_dual_norm(problem.design, weights, near, 2, control).value;
    CHECK(from(Theta, 0.0) == doctest::Approx(norm).epsilon(1e-12));
    CHECK(from(near, 0.9 * there) == doctest::Approx(there).epsilon(1e-12));
    const double above = from(near, 1.1 * there);
    CHECK(above >= (1.0 - 1e-12) * there);
    CHECK(above <= 1.1 * there);
  }
}

TEST_CASE("tiny alpha and uneven features") {
  auto x = random_data<double>(60, 4, 31);
  for (Index k = 0; k < 4; ++k) x.col(k) *= std::pow(10.0, static_cast<double>(k) - 2.0);
  const auto gates = random_data<double>(4, 12, 32);
  const Patterns patterns = gate_patterns(x, gates);
  const auto loss = random_loss("squared", 60, 1, 33);
  const SignedDesign design(std::make_unique<MaskedDesign<double>>(map(x), patterns.view(), 1),
                            ActivationCones(map(x), patterns.view()));
  const Instance instance(design, *loss);
  const double alpha = 1e-4 * instance.alpha_max();
  CHECK(instance.solve(alpha, with_tol(1e-7)).status == Status::optimal);
}

// The same restricted problem, its systems factored and not.
TEST_CASE("large systems are solved by conjugate gradients") {
  const ReluProblem problem("squared", 60, 4, 15, 61);
  const Instance instance(problem.design, *problem.loss);
  std::vector<Index> all(30);
  std::iota(all.begin(), all.end(), Index{0});
  std::vector<double> primals;
  for (const double max_entries : {1e8, 0.0}) {
    WorkingSet working;
    working.starts = {0};
    working.reset(problem.design, all, instance.weights, 0.05 * instance.alpha_max());
    Unpenalised free(intercept(60), 1);
    QuadraticModel model;
    model.resize(60, 1);
    model.F.setZero();
    model.F0 = model.F;
    problem.loss->dual_point(model.F, model.Theta0);
    problem.loss->curvature(model.F, model.h);
    free.set_curvature(model.h);
    Control control;
    Matrix Theta;
    AugmentedLagrangian lagrangian(problem.design, 1, max_entries);
    CHECK(lagrangian.minimise(working, working.coefs, free, model, true, 1e-10, control, Theta) >
          0);
    primals.push_back(problem.loss->value(model.F) + working.penalty(working.coefs));
    CHECK(working.n_active() > 0);
  }
  CHECK(primals[0] == doctest::Approx(primals[1]).epsilon(1e-8));
}

TEST_CASE("one bit for any number of threads") {
  const ReluProblem one("squared", 300, 6, 40, 41, 1), two("squared", 300, 6, 40, 41, 2);
  const Instance serial(one.design, *one.loss), parallel(two.design, *two.loss);
  Settings settings = with_tol(1e-7);
  const double alpha = 0.05 * serial.alpha_max();
  const Solution expected = serial.solve(alpha, settings);
  settings.n_threads = 2;
  CHECK(same_solution(expected, parallel.solve(alpha, settings)));
}

TEST_CASE("what blocks in cones cannot have is refused") {
  const ReluProblem problem("squared", 40, 3, 5, 51);
  Instance instance(problem.design, *problem.loss);
  for (const Method method : {Method::newton, Method::bcd, Method::interior_point}) {
    CHECK_THROWS_AS(instance.solver(with(method, 1e-4)), InvalidArgument);
  }
  instance.weights[2] = 0.0;
  CHECK_THROWS_AS(instance.solver(with_tol(1e-4)), InvalidArgument);
}

}  // namespace
}  // namespace cvxnn
