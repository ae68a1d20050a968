#include <array>

#include "cvxnn/operators/dense.hpp"
#include "cvxnn/solver.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// The gap of Huber's loss is of first order in the error of the dual point, so that double
// precision of the objective is worth half its digits.
double tightest(const std::string& loss) { return loss == "huber" ? 1e-7 : 1e-10; }

void check_certified(const Instance& instance, const Solution& solution, double tol) {
  const Certificate& certificate = solution.certificate;
  CHECK(std::string(name(solution.status)) == "optimal");
  CHECK(certificate.primal == doctest::Approx(instance.objective(solution)).epsilon(1e-12));
  CHECK(certificate.gap >= 0.0);
  CHECK(certificate.gap <= tol * certificate.primal);
  CHECK(certificate.dual == certificate.primal - certificate.gap);
}

// Where the loss is 1/smoothness strongly convex in the dual, the gap bounds the distance of the
// gradient from feasibility: ||A_b^T Theta|| <= alpha w_b, with equality along W_b where W_b != 0.
void check_stationary(const Instance& instance, const Solution& solution, double slack) {
  Matrix Theta(instance.op.n_samples(), instance.loss.n_outputs());
  instance.loss.dual_point(instance.fit(solution), Theta);
  for (Index b = 0; b < instance.op.n_blocks(); ++b) {
    const double norm = (instance.block(b).transpose() * Theta).norm();
    CHECK(norm <= solution.alpha * instance.weights[b] + slack);
  }
  instance.for_each_block(solution, [&](Index b, const Matrix& W) {
    const Matrix expected = solution.alpha * instance.weights[b] / W.norm() * W;
    CHECK((instance.block(b).transpose() * Theta - expected).norm() <= slack);
  });
  const Matrix columns = instance.unpenalised();
  if (columns.cols() > 0) CHECK((columns.transpose() * Theta).norm() <= slack);
}

TEST_CASE("every loss is solved to its optimality conditions") {
  for (const std::string& loss : loss_names()) {
    for (const Index n_outputs : {1, 3}) {
      const GatedProblem problem(loss, 90, 4, 40, n_outputs, 1);
      for (const Matrix& free : {Matrix(), intercept(90)}) {
        const Instance instance(problem, free);
        const double alpha_max = instance.alpha_max();
        for (const double share : {0.5, 0.1}) {
          CAPTURE(loss);
          CAPTURE(n_outputs);
          CAPTURE(free.cols());
          CAPTURE(share);
          const double tol = tightest(loss);
          const Solution solution = instance.solve(share * alpha_max, with_tol(tol));
          CHECK_FALSE(solution.blocks.empty());
          check_certified(instance, solution, tol);
          check_stationary(instance, solution, 20.0 * std::sqrt(tol) * alpha_max);
        }
      }
    }
  }
}

// Gates in every cell that eight points cut out of the plane, and the optima that an interior-point
// method found for sums of losses: sum_i l_i + beta sum_p ||W_p||.
struct Cells {
  DataMatrix<double> x{8, 2};
  Matrix y{8, 1};
  Patterns patterns{8, 16};

  Cells() {
    x << 0.1257302210933933, -0.1321048632913019, 0.6404226504432821, 0.10490011715303971,
        -0.535669373161111, 0.36159505490948474, 1.3040000451301372, 0.9470809631292422,
        -0.7037352358069926, -1.2654214710460525, -0.6232744625373522, 0.0413259793472436,
        -2.3250307746388343, -0.21879166393254573, -1.2459109472530652, -0.7322673547034516;
    y << -0.5442589828573099, -0.31630015636915454, 0.4116305363741328, 1.0425133694426776,
        -0.12853466294403426, 1.3664634705496859, -0.6651946734866135, 0.3515100700930197;
    const double pi = std::acos(-1.0);
    std::vector<double> edges;
    for (Index i = 0; i < 8; ++i) {
      const double normal = std::atan2(x(i, 1), x(i, 0));
      edges.push_back(std::remainder(normal + pi / 2, 2 * pi));
      edges.push_back(std::remainder(normal - pi / 2, 2 * pi));
    }
    std::sort(edges.begin(), edges.end());
    edges.push_back(edges.front() + 2 * pi);
    DataMatrix<double> gates(2, 16);
    for (Index p = 0; p < 16; ++p) {
      const double angle = 0.5 * (edges[p] + edges[p + 1]);
      gates.col(p) << std::cos(angle), std::sin(angle);
    }
    pack_patterns(map(x), map(gates), Vector(), kThreads, patterns.words().data());
  }
};

struct Optimum {
  const char* loss;
  double beta, value, beta_max;
};

TEST_CASE("optima found by another method") {
  const std::array<Optimum, 6> optima{{
      {"squared", 0.5, 1.567862492748426, 2.270198313217187},
      {"squared", 0.1, 0.5757755028897726, 2.270198313217187},
      {"squared", 0.02, 0.14135741345197045, 2.270198313217187},
      {"logistic", 0.1, 2.0067068772789076, 1.4630826412636178},
      {"squared_hinge", 0.1, 0.6917832791263948, 2.9261652825272355},
      {"huber", 0.1, 0.5757755028897726, 1.4868320430950515},
  }};
  const Cells cells;
  const MaskedDesign<double> design(map(cells.x), cells.patterns.view(), 1);
  for (const Optimum& optimum : optima) {
    CAPTURE(optimum.loss);
    CAPTURE(optimum.beta);
    Matrix y = cells.y;
    if (classifies(optimum.loss)) y = y.cwiseSign();
    const auto loss = make_loss(optimum.loss, y, Vector::Constant(8, 1.0 / 8.0), 0.5);
    const Instance instance(design, *loss);
    const double tol = tightest(optimum.loss);
    const Solution solution = instance.solve(optimum.beta / 8.0, with_tol(tol));
    check_certified(instance, solution, tol);
    CHECK(8.0 * solution.certificate.primal == doctest::Approx(optimum.value).epsilon(2e-8));
    CHECK(8.0 * instance.alpha_max() == doctest::Approx(optimum.beta_max).epsilon(1e-10));
  }
}

TEST_CASE("alpha_max is where the first block enters") {
  for (const std::string& loss : loss_names()) {
    const GatedProblem problem(loss, 80, 3, 30, 2, 2);
    for (const Matrix& free : {Matrix(), intercept(80)}) {
      CAPTURE(loss);
      CAPTURE(free.cols());
      const Instance instance(problem, free);
      const double alpha_max = instance.alpha_max();
      const Settings settings = with_tol(tightest(loss));
      const Solution above = instance.solve(alpha_max * (1.0 + 1e-6), settings);
      CHECK(above.blocks.empty());
      CHECK(above.coefs.size() == 0);
      check_certified(instance, above, settings.tol);
      const Solution below = instance.solve(alpha_max * 0.99, settings);
      CHECK_FALSE(below.blocks.empty());
      CHECK(below.certificate.primal <= above.certificate.primal);
    }
  }
}

// Huber's quadratic model is far from the loss where many residuals are large: the unpenalised fit
// takes hundreds of steps.
TEST_CASE("alpha_max is found where the unpenalised fit is hard") {
  const auto x = random_data<double>(80, 3, 16);
  const Patterns patterns = random_patterns(80, 30, 17);
  const MaskedDesign<double> design(map(x), patterns.view(), 1);
  const Matrix y = random_matrix(80, 2, 18).array().cube() * 5.0 + 10.0;
  const auto loss = make_loss("huber", y, Vector::Constant(80, 1.0 / 80.0), 0.1);
  Matrix free(80, 4);
  free << intercept(80), x;
  const Instance instance(design, *loss, free);
  Solver solver = instance.solver(Settings());
  Control control;
  const double alpha_max = solver.alpha_max(control);
  for (int again = 0; again < 3; ++again) {
    CHECK(solver.alpha_max(control) == doctest::Approx(alpha_max).epsilon(1e-7));
  }
}

TEST_CASE("the masked design and the same columns written out have one optimum") {
  const GatedProblem problem("squared", 70, 3, 25, 2, 3);
  DataMatrix<double> columns(70, 75);
  std::vector<Index> starts{0};
  for (Index p = 0; p < 25; ++p) {
    columns.middleCols(3 * p, 3) = masked_block(problem.x, problem.patterns.view(), p);
    starts.push_back(3 * (p + 1));
  }
  const DenseDesign<double> dense(map(columns), starts, 1);
  const Instance masked(problem), written_out(dense, *problem.loss);
  const double alpha = 0.1 * masked.alpha_max();
  CHECK(written_out.alpha_max() == doctest::Approx(10.0 * alpha).epsilon(1e-12));
  const Solution a = masked.solve(alpha, with_tol(1e-11));
  const Solution b = written_out.solve(alpha, with_tol(1e-11));
  check_certified(written_out, b, 1e-11);
  CHECK(a.certificate.primal == doctest::Approx(b.certificate.primal).epsilon(1e-10));
}

// w ||W|| over A is ||w W|| over A / w.
TEST_CASE("a weight is a scale of its block") {
  const auto x = random_data<double>(60, 20, 4);
  const std::vector<Index> starts{0, 3, 4, 10, 14, 20};
  const Vector weights = random_matrix(5, 1, 5).cwiseAbs().array() + 0.2;
  DataMatrix<double> scaled = x;
  for (Index b = 0; b < 5; ++b) {
    scaled.middleCols(starts[b], starts[b + 1] - starts[b]) /= weights[b];
  }
  const DenseDesign<double> design(map(x), starts, 1), scaled_design(map(scaled), starts, 1);
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const auto loss = random_loss(name, 60, 2, 6);
    Instance weighted(design, *loss);
    weighted.weights = weights;
    const Instance unit(scaled_design, *loss);
    const double alpha = 0.3 * weighted.alpha_max(), tol = tightest(name);
    CHECK(unit.alpha_max() == doctest::Approx(alpha / 0.3).epsilon(1e-9));
    const Solution a = weighted.solve(alpha, with_tol(tol));
    const Solution b = unit.solve(alpha, with_tol(tol));
    check_certified(weighted, a, tol);
    CHECK(a.certificate.primal == doctest::Approx(b.certificate.primal).epsilon(2.0 * tol));
  }
}

TEST_CASE("a block of weight zero is an unpenalised block") {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const GatedProblem problem(name, 80, 3, 20, 1, 7);
    const double tol = tightest(name);
    Instance unpenalised(problem, intercept(80));
    unpenalised.weights[4] = 0.0;
    const double alpha = 0.2 * unpenalised.alpha_max();
    const Solution a = unpenalised.solve(alpha, with_tol(tol));
    check_certified(unpenalised, a, tol);
    CHECK(a.free_coefs.rows() == 4);
    CHECK(std::find(a.blocks.begin(), a.blocks.end(), Index{4}) == a.blocks.end());

    Instance explicitly(problem, unpenalised.unpenalised());
    const Solution b = explicitly.solve(alpha, with_tol(tol));
    CHECK(a.certificate.primal == doctest::Approx(b.certificate.primal).epsilon(2.0 * tol));
  }
}

TEST_CASE("screening does not change the optimum") {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const GatedProblem problem(name, 100, 5, 120, 1, 8);
    const Instance instance(problem, intercept(100));
    const double alpha = 0.3 * instance.alpha_max(), tol = tightest(name);
    Settings settings = with_tol(tol);
    const Solution with = instance.solve(alpha, settings);
    settings.screening = false;
    const Solution without = instance.solve(alpha, settings);
    check_certified(instance, with, tol);
    check_certified(instance, without, tol);
    CHECK(with.certificate.primal == doctest::Approx(without.certificate.primal).epsilon(2 * tol));
  }
}

TEST_CASE("a solution has the same bits for any number of threads") {
  for (const std::string name : {"squared", "logistic"}) {
    CAPTURE(name);
    Settings settings = with_tol(1e-6);
    std::vector<Solution> solutions;
    for (const int n_threads : {1, 2, 3}) {
      const GatedProblem problem(name, 4500, 4, 120, 2, 9, n_threads);  // pricing is shared out
      settings.n_threads = n_threads;
      const Instance instance(problem, intercept(4500));
      solutions.push_back(instance.solve(0.3 * instance.alpha_max(), settings));
    }
    CHECK(solutions[0].blocks.size() > 5);
    CHECK(same_solution(solutions[0], solutions[1]));
    CHECK(same_solution(solutions[0], solutions[2]));
  }
}

TEST_CASE("float data are solved to a tolerance that float sums cannot show") {
  const auto x = random_data<float>(200, 6, 10);
  const Patterns patterns = random_patterns(200, 80, 11);
  for (const std::string name : {"squared", "logistic"}) {
    CAPTURE(name);
    const auto loss = random_loss(name, 200, 1, 12);
    const MaskedDesign<float> design(map(x), patterns.view(), 1);
    const Instance instance(design, *loss, intercept(200));
    const Solution solution = instance.solve(0.3 * instance.alpha_max(), with_tol(1e-11));
    check_certified(instance, solution, 1e-11);
  }
}

TEST_CASE("a path from large to small alpha agrees with cold starts") {
  const GatedProblem problem("logistic", 90, 4, 50, 1, 13);
  const Instance instance(problem, intercept(90));
  const double alpha_max = instance.alpha_max();
  Control control;
  Solver solver = instance.solver(with_tol(1e-9));
  double last = std::numeric_limits<double>::infinity();
  for (const double share : {1.0, 0.5, 0.2, 0.1, 0.3}) {
    const Solution solution = solver.solve(share * alpha_max, control);
    check_certified(instance, solution, 1e-9);
    const Solution cold = instance.solve(share * alpha_max, with_tol(1e-9));
    CHECK(solution.certificate.primal == doctest::Approx(cold.certificate.primal).epsilon(2e-9));
    if (share != 0.3) {
      CHECK(solution.certificate.primal <= last);
      last = solution.certificate.primal;
    }
  }
}

// Where classes are nearly separable a full Newton step may miss by far.
TEST_CASE("small penalties need the line search of the Newton steps") {
  const GatedProblem problem("logistic", 100, 3, 30, 1, 2);
  const Instance instance(problem, intercept(100));
  for (const double share : {1e-2, 1e-3, 1e-4}) {
    CAPTURE(share);
    const Solution solution = instance.solve(share * instance.alpha_max(), with_tol(1e-6));
    check_certified(instance, solution, 1e-6);
  }
}

// Too large to decompose: majorised steps.
TEST_CASE("blocks of many features are solved too") {
  const GatedProblem problem("squared", 120, 200, 6, 1, 14);
  const Instance instance(problem);
  const Solution solution = instance.solve(0.3 * instance.alpha_max(), with_tol(1e-8));
  CHECK_FALSE(solution.blocks.empty());
  check_certified(instance, solution, 1e-8);
}

TEST_CASE("blocks are reported once, in order, and none is zero") {
  const GatedProblem problem("squared", 90, 4, 60, 2, 15);
  const Instance instance(problem);
  const Solution solution = instance.solve(0.1 * instance.alpha_max(), with_tol(1e-8));
  CHECK(std::is_sorted(solution.blocks.begin(), solution.blocks.end()));
  CHECK(std::adjacent_find(solution.blocks.begin(), solution.blocks.end()) ==
        solution.blocks.end());
  CHECK(solution.coefs.size() == 8 * static_cast<Index>(solution.blocks.size()));
  instance.for_each_block(solution, [](Index, const Matrix& W) { CHECK_FALSE(W.isZero(0.0)); });
}

}  // namespace
}  // namespace cvxnn
