// Every method on the same problems: they must agree on the optimum.
#include "cvxnn/errors.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

Settings with(Method method, double tol) {
  Settings settings = with_tol(tol);
  settings.method = method;
  settings.max_iter = 100000;
  return settings;
}

void check_agreement(const Instance& instance, double alpha, const std::vector<Method>& methods) {
  const double optimum = instance.solve(alpha, with(Method::newton, 1e-11)).certificate.primal;
  for (const Method method : methods) {
    CAPTURE(static_cast<int>(method));
    const Solution solution = instance.solve(alpha, with(method, 1e-10));
    CHECK(solution.status == Status::optimal);
    CHECK(solution.certificate.primal == doctest::Approx(optimum).epsilon(1e-9));
    CHECK(instance.objective(solution) ==
          doctest::Approx(solution.certificate.primal).epsilon(1e-12));
  }
}

const std::vector<Method> kAll{Method::automatic, Method::bcd, Method::fista, Method::newton,
                               Method::interior_point};

TEST_CASE("one optimum for the squared loss, with every kind of unpenalised block") {
  const GatedProblem problem("squared", 150, 4, 30, 1, 1);
  for (const Matrix& free : {Matrix(150, 0), intercept(150), random_matrix(150, 6, 4)}) {
    Instance instance(problem, free);
    instance.weights = random_matrix(30, 1, 5).cwiseAbs().array() + 0.2;
    for (const double share : {0.5, 0.1, 0.01}) {
      check_agreement(instance, share * instance.alpha_max(), kAll);
    }
    instance.weights[3] = 0.0;
    check_agreement(instance, 0.1 * instance.alpha_max(), kAll);
  }
}

TEST_CASE("one optimum for several outputs") {
  for (const char* loss : {"squared", "logistic", "huber"}) {
    CAPTURE(loss);
    const GatedProblem problem(loss, 120, 4, 20, 3, 6);
    for (const Matrix& free : {Matrix(120, 0), intercept(120)}) {
      const Instance instance(problem, free);
      for (const double share : {0.5, 0.05}) {
        check_agreement(instance, share * instance.alpha_max(),
                        {Method::automatic, Method::bcd, Method::newton});
      }
    }
  }
}

TEST_CASE("the interior-point method where others crawl: tiny alpha, uneven features") {
  auto x = random_data<double>(60, 8, 11);
  for (Index k = 0; k < 8; ++k) x.col(k) *= std::pow(10.0, static_cast<double>(k) - 3.0);
  const Patterns patterns = random_patterns(60, 20, 12);
  const MaskedDesign<double> design(map(x), patterns.view(), 1);
  const auto loss = random_loss("squared", 60, 1, 13);
  const Instance instance(design, *loss);
  const double alpha = 1e-4 * instance.alpha_max();
  const Solution solution = instance.solve(alpha, with(Method::interior_point, 1e-9));
  CHECK(solution.status == Status::optimal);
  CHECK(solution.n_epochs < 60);
}

TEST_CASE("the interior-point method leaves exact zeros") {
  const GatedProblem problem("squared", 150, 4, 30, 1, 1);
  const Instance instance(problem);
  const double alpha = 0.3 * instance.alpha_max();
  const Solution exact = instance.solve(alpha, with(Method::newton, 1e-11));
  const Solution solution = instance.solve(alpha, with(Method::interior_point, 1e-8));
  CHECK(solution.blocks == exact.blocks);
  CHECK(solution.blocks.size() < 30);
}

TEST_CASE("above alpha_max every method returns zero") {
  const GatedProblem problem("squared", 80, 3, 9, 1, 21);
  const Instance instance(problem, intercept(80));
  for (const Method method : kAll) {
    const Solution solution = instance.solve(1.01 * instance.alpha_max(), with(method, 1e-9));
    CHECK(solution.status == Status::optimal);
    CHECK(solution.blocks.empty());
  }
}

TEST_CASE("one optimum for the other losses") {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const GatedProblem problem(name, 120, 4, 20, 1, 31);
    const Instance instance(problem, intercept(120));
    check_agreement(instance, 0.1 * instance.alpha_max(),
                    {Method::automatic, Method::bcd, Method::fista});
  }
}

TEST_CASE("several outputs, and blocks too large to decompose") {
  const GatedProblem outputs("squared", 100, 4, 12, 3, 41);
  const Instance joint(outputs);
  check_agreement(joint, 0.2 * joint.alpha_max(), {Method::automatic, Method::bcd, Method::fista});
  const GatedProblem wide("squared", 150, kExactBlockSize + 8, 6, 1, 42);
  const Instance instance(wide);
  check_agreement(instance, 0.3 * instance.alpha_max(),
                  {Method::automatic, Method::fista, Method::newton, Method::interior_point});
}

TEST_CASE("the interior-point method refuses what it is not made for") {
  const GatedProblem labels("logistic", 50, 3, 5, 1, 51), outputs("squared", 50, 3, 5, 2, 52);
  for (const GatedProblem* problem : {&labels, &outputs}) {
    CHECK_THROWS_AS(Instance(*problem).solver(with(Method::interior_point, 1e-4)), InvalidArgument);
  }
}

TEST_CASE("the same bits for any number of threads") {
  const GatedProblem one("squared", 700, 5, 40, 1, 61, 1), two("squared", 700, 5, 40, 1, 61, 2);
  for (const Method method : {Method::fista, Method::interior_point}) {
    Settings settings = with(method, 1e-6);
    const double alpha = 0.05 * Instance(one).alpha_max();
    const Solution serial = Instance(one).solve(alpha, settings);
    settings.n_threads = 2;
    CHECK(same_solution(serial, Instance(two).solve(alpha, settings)));
  }
}

}  // namespace
}  // namespace cvxnn
