// How a solve begins and ends: warm starts, limits, callbacks, misuse.
#include <limits>
#include <stdexcept>

#include "cvxnn/errors.hpp"
#include "forwarding.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Problem {
  GatedProblem gated;
  Instance instance;
  double alpha;
  Certificate best;

  explicit Problem(const std::string& loss = "squared")
      : gated(loss, 100, 4, 60, 2, 1),
        instance(gated, intercept(100)),
        alpha(0.1 * instance.alpha_max()),
        best(instance.solve(alpha, with_tol(loss == "huber" ? 1e-7 : 1e-10)).certificate) {}
};

// Whatever ended the solve, what it returns is a point with an honest certificate.
void check_honest(const Problem& problem, const Solution& solution) {
  const Certificate& certificate = solution.certificate;
  CHECK(certificate.primal == doctest::Approx(problem.instance.objective(solution)).epsilon(1e-12));
  CHECK(certificate.primal >= problem.best.dual);
  CHECK(certificate.dual <= problem.best.primal);
  CHECK(certificate.dual >= 0.0);
  CHECK(certificate.dual == certificate.primal - certificate.gap);
}

TEST_CASE("a solve that starts at its solution ends in one iteration") {
  for (const std::string& loss : loss_names()) {
    CAPTURE(loss);
    const Problem problem(loss);
    const double tol = loss == "huber" ? 1e-6 : 1e-9;
    const Solution first = problem.instance.solve(problem.alpha, with_tol(tol));
    REQUIRE(first.n_iter > 1);
    Solver solver = problem.instance.solver(with_tol(20.0 * tol));
    solver.warm_start(first.blocks, first.coefs, first.free_coefs);
    Control control;
    const Solution again = solver.solve(problem.alpha, control);
    CHECK(again.status == Status::optimal);
    CHECK(again.n_iter == 1);
    CHECK(again.n_epochs == 0);
    CHECK(again.blocks == first.blocks);
    CHECK(same_bits(again.coefs, first.coefs));
    CHECK(same_bits(again.free_coefs, first.free_coefs));
  }
}

TEST_CASE("a second solve starts from the first") {
  const Problem problem;
  Solver solver = problem.instance.solver(with_tol(1e-8));
  Control control;
  const Solution first = solver.solve(problem.alpha, control);
  const Solution second = solver.solve(problem.alpha, control);
  CHECK(second.n_iter <= 2);
  CHECK(second.n_epochs < first.n_epochs);
  CHECK(second.certificate.primal <= first.certificate.primal * (1.0 + 1e-15));
}

TEST_CASE("a warm start must fit the problem") {
  const Problem problem;
  Solver solver = problem.instance.solver(Settings());
  const Matrix free = Matrix::Zero(1, 2);
  CHECK_THROWS_AS(solver.warm_start({0, 1}, Vector::Zero(15), free), InvalidArgument);
  CHECK_THROWS_AS(solver.warm_start({0, 1}, Vector::Zero(16), Matrix::Zero(1, 1)), InvalidArgument);
  CHECK_THROWS_AS(solver.warm_start({0, 1}, Vector::Zero(16), Matrix::Zero(2, 2)), InvalidArgument);
  CHECK_NOTHROW(solver.warm_start({0, 1}, Vector::Zero(16), free));
}

TEST_CASE("max_iter ends a solve with a certified iterate") {
  const Problem problem;
  Settings settings = with_tol(1e-12);
  for (const Index max_iter : {1, 2, 4}) {
    settings.max_iter = max_iter;
    const Solution solution = problem.instance.solve(problem.alpha, settings);
    CHECK(solution.status == Status::max_iter);
    CHECK(solution.n_iter == max_iter);
    CHECK(static_cast<Index>(solution.trace.size()) == max_iter);
    check_honest(problem, solution);
  }
}

TEST_CASE("a time limit ends a solve with a certified iterate") {
  for (const double time_limit : {0.0, 1e-3}) {
    const Problem problem("logistic");
    Solver solver = problem.instance.solver(with_tol(1e-30));
    Control control;
    control.time_limit = time_limit;
    control.start();
    const Solution solution = solver.solve(problem.alpha, control);
    CHECK(solution.status == Status::time_limit);
    check_honest(problem, solution);
  }
}

// Asks to stop at the n-th visit of a block.
class Stopping final : public Forwarding {
 public:
  Stopping(const Operator& op, Index visits) : Forwarding(op), visits_(visits) {}

  void gradient(Index b, ConstMatrixRef R, MatrixRef out) const override {
    if (--visits_ == 0) throw StopRequest{Status::time_limit};
    op_.gradient(b, R, out);
  }

 private:
  mutable Index visits_;
};

TEST_CASE("a solve stopped within an epoch keeps what it has gained") {
  for (const std::string& loss : loss_names()) {
    CAPTURE(loss);
    const Problem problem(loss);
    for (const Index visits : {1, 2, 37, 111, 250}) {
      CAPTURE(visits);
      const Stopping stopping(problem.instance.op, visits);
      const Instance instance(stopping, problem.instance.loss, problem.instance.free);
      Settings settings = with_tol(1e-12);
      settings.method = Method::bcd;
      const Solution solution = instance.solve(problem.alpha, settings);
      CHECK(solution.status == Status::time_limit);
      CHECK(solution.certificate.primal <= solution.trace.back().primal * (1.0 + 1e-14));
      check_honest(problem, solution);
    }
  }
}

TEST_CASE("a callback sees every iteration and may end the solve") {
  const Problem problem;
  for (const Index stop_at : {1, 3}) {
    Solver solver = problem.instance.solver(with_tol(1e-12));
    Control control;
    std::vector<Progress> seen;
    control.on_progress = [&](const Progress& progress) {
      seen.push_back(progress);
      return progress.iteration == stop_at;
    };
    const Solution solution = solver.solve(problem.alpha, control);
    CHECK(solution.status == Status::callback);
    CHECK(static_cast<Index>(seen.size()) == stop_at);
    CHECK(seen.back().alpha == problem.alpha);
    check_honest(problem, solution);
  }
}

TEST_CASE("progress never runs backwards") {
  for (const std::string& loss : loss_names()) {
    CAPTURE(loss);
    const Problem problem(loss);
    const Solution solution = problem.instance.solve(problem.alpha, with_tol(1e-6));
    REQUIRE(solution.trace.size() > 1);
    for (std::size_t k = 0; k < solution.trace.size(); ++k) {
      const Progress& now = solution.trace[k];
      CHECK(now.iteration == static_cast<Index>(k) + 1);
      CHECK(now.gap >= 0.0);
      CHECK(now.n_active <= now.n_working);
      if (k == 0) continue;
      const Progress& before = solution.trace[k - 1];
      CHECK(now.primal <= before.primal * (1.0 + 1e-14));
      CHECK(now.dual >= before.dual);
      CHECK(now.elapsed >= before.elapsed);
    }
  }
}

TEST_CASE("an exception of a callback or a signal passes through a solve") {
  const Problem problem;
  Solver solver = problem.instance.solver(with_tol(1e-8));
  Control control;
  control.on_progress = [](const Progress&) -> bool { throw std::runtime_error("callback"); };
  CHECK_THROWS_WITH_AS(solver.solve(problem.alpha, control), "callback", std::runtime_error);
  Control interrupted;
  interrupted.check_signals = [] { throw std::runtime_error("signal"); };
  CHECK_THROWS_WITH_AS(solver.solve(problem.alpha, interrupted), "signal", std::runtime_error);
  // The solver survives.
  Control control_after;
  CHECK(solver.solve(problem.alpha, control_after).status == Status::optimal);
}

TEST_CASE("a target that no rounding allows ends as stalled") {
  const Problem problem("logistic");
  const Solution solution = problem.instance.solve(problem.alpha, with_tol(1e-30));
  CHECK(solution.status == Status::stalled);
  CHECK(solution.certificate.gap <= 1e-9 * solution.certificate.primal);
  check_honest(problem, solution);
}

TEST_CASE("numbers that are not finite end as numerical_error") {
  const Problem problem;
  Solver solver = problem.instance.solver(with_tol(1e-8));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  solver.warm_start({3}, Vector::Constant(8, nan), Matrix::Zero(1, 2));
  Control control;
  const Solution solution = solver.solve(problem.alpha, control);
  CHECK(solution.status == Status::numerical_error);
  CHECK(solution.blocks.empty());
  CHECK(solution.free_coefs.isZero(0.0));
}

TEST_CASE("settings and alpha are checked") {
  const Problem problem;
  Settings settings;
  settings.tol = 0.0;
  CHECK_THROWS_WITH_AS(problem.instance.solver(settings), "tol must be positive, got 0.000000",
                       InvalidArgument);
  settings = Settings();
  settings.max_iter = 0;
  CHECK_THROWS_WITH_AS(problem.instance.solver(settings), "max_iter must be >= 1, got 0",
                       InvalidArgument);
  Solver solver = problem.instance.solver(Settings());
  Control control;
  for (const double alpha : {0.0, -1.0, kInfinity, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_AS(solver.solve(alpha, control), InvalidArgument);
  }
}

TEST_CASE("every status has a name of its own") {
  std::vector<std::string> names;
  for (const Status status : {Status::optimal, Status::max_iter, Status::time_limit,
                              Status::callback, Status::stalled, Status::numerical_error}) {
    names.emplace_back(name(status));
  }
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  CHECK(std::find(names.begin(), names.end(), "unknown") == names.end());
}

}  // namespace
}  // namespace cvxnn
