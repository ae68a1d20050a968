#include "cvxnn/certificate.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// A certificate of a point that no solver made.
struct Candidate {
  std::vector<Index> blocks;
  Vector coefs;
  Matrix free_coefs;
  Matrix theta;
};

Candidate random_candidate(const Instance& instance, double scale, unsigned seed) {
  Candidate candidate;
  const Index n_outputs = instance.loss.n_outputs();
  candidate.blocks = {0, 2, instance.op.n_blocks() - 1};
  Index size = 0;
  for (const Index b : candidate.blocks) size += instance.op.block_size(b) * n_outputs;
  candidate.coefs = scale * random_matrix(size, 1, seed);
  candidate.free_coefs = scale * random_matrix(instance.free.cols(), n_outputs, seed + 1);
  candidate.theta.resize(instance.op.n_samples(), n_outputs);
  const Matrix F = scale * random_matrix(instance.op.n_samples(), n_outputs, seed + 2);
  instance.loss.dual_point(F, candidate.theta);
  return candidate;
}

Certificate certify(const Instance& instance, double alpha, const Candidate& candidate,
                    int n_threads = kThreads) {
  Unpenalised free(instance.free, instance.loss.n_outputs());
  Vector h(instance.op.n_samples());
  instance.loss.curvature(Matrix::Zero(h.size(), instance.loss.n_outputs()), h);
  free.set_curvature(h);
  free.coefs() = candidate.free_coefs;
  Control control;
  return certify(instance.op, instance.loss, instance.weights, alpha, candidate.blocks,
                 candidate.coefs, free, candidate.theta, n_threads, control);
}

double objective(const Instance& instance, double alpha, const Candidate& candidate) {
  Solution solution;
  solution.alpha = alpha;
  solution.blocks = candidate.blocks;
  solution.coefs = candidate.coefs;
  solution.free_coefs = candidate.free_coefs;
  return instance.objective(solution);
}

TEST_CASE("the gap of any point is at least its suboptimality") {
  for (const std::string& name : loss_names()) {
    const GatedProblem problem(name, 60, 3, 20, 2, 1);
    for (const Matrix& free : {Matrix(), intercept(60)}) {
      CAPTURE(name);
      CAPTURE(free.cols());
      const Instance instance(problem, free);
      const double alpha_max = instance.alpha_max();
      for (const double share : {0.05, 0.5, 2.0}) {
        const double alpha = share * alpha_max;
        const double tol = name == "huber" ? 1e-7 : 1e-10;
        const Certificate best = instance.solve(alpha, with_tol(tol)).certificate;
        REQUIRE(best.gap <= tol * best.primal);
        for (const double scale : {0.01, 0.3, 3.0, 1e13}) {
          const Candidate candidate = random_candidate(instance, scale, 2);
          const Certificate certificate = certify(instance, alpha, candidate);
          CHECK(certificate.primal ==
                doctest::Approx(objective(instance, alpha, candidate)).epsilon(1e-12));
          CHECK(certificate.dual >= 0.0);
          CHECK(certificate.dual <= best.primal);
          CHECK(certificate.gap >= certificate.primal - best.primal);
          CHECK(certificate.primal >= best.dual);
        }
      }
    }
  }
}

// Beside an intercept a dual point must sum to zero. This one does, until its entries on the wrong
// side of the domain are clipped; its value is then above the optimum.
TEST_CASE("a dual point that is not orthogonal to the intercept is not believed") {
  const GatedProblem problem("squared", 60, 3, 20, 1, 13);
  Vector y(60), v(60);
  y << Vector::Ones(48), -Vector::Ones(12);
  v << Vector::Ones(36), Vector::Constant(12, -2.0), -Vector::Ones(12);
  const Vector omega = Vector::Constant(60, 1.0 / 60.0);
  for (const auto& [name, scale] : {std::pair("logistic", 0.5), std::pair("squared_hinge", 1.0)}) {
    const auto loss = make_loss(name, y, omega, kDelta);
    const Instance instance(problem.design, *loss, intercept(60));
    const double alpha = 100.0 * instance.alpha_max();
    const double optimum = instance.solve(alpha, with_tol(1e-10)).certificate.primal;
    const Candidate candidate{{}, Vector(), Matrix::Zero(1, 1), scale / 60.0 * v};
    Matrix clipped = candidate.theta;
    loss->clip(clipped);
    CHECK(std::abs(candidate.theta.sum()) <= 1e-15);
    CHECK(loss->dual_value(clipped) > optimum);
    const Certificate certificate = certify(instance, alpha, candidate);
    CHECK(certificate.dual <= optimum);
    CHECK(certificate.gap >= certificate.primal - optimum);
  }
}

TEST_CASE("a dual point is projected before it is judged") {
  const GatedProblem problem("squared", 60, 3, 20, 2, 14);
  const Instance instance(problem, intercept(60));
  const double alpha = 0.2 * instance.alpha_max();
  const Solution best = instance.solve(alpha, with_tol(1e-12));
  Candidate candidate{best.blocks, best.coefs, best.free_coefs, best.certificate.Theta};
  // Along diag(h) A_0, which the projection takes away.
  candidate.theta.col(0) += 5.0 * problem.loss->omega();
  const Certificate certificate = certify(instance, alpha, candidate);
  CHECK(certificate.gap <= 1e-10 * certificate.primal);
}

TEST_CASE("a certificate does not depend on threads") {
  const GatedProblem problem("logistic", 90, 3, 2500, 1, 3);
  const Instance instance(problem, intercept(90));
  const Candidate candidate = random_candidate(instance, 0.1, 4);
  const Certificate one = certify(instance, 0.01, candidate, 1);
  for (const int n_threads : {2, 3}) {
    const Certificate other = certify(instance, 0.01, candidate, n_threads);
    CHECK(one.primal == other.primal);
    CHECK(one.dual == other.dual);
  }
}

TEST_CASE("the zero solution is certified exactly from alpha_max on") {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const GatedProblem problem(name, 60, 3, 20, 1, 5);
    const Instance instance(problem);
    const double alpha_max = instance.alpha_max();
    Candidate zero;
    zero.free_coefs = Matrix::Zero(0, 1);
    zero.theta.resize(60, 1);
    const Matrix F = Matrix::Zero(60, 1);
    instance.loss.dual_point(F, zero.theta);
    for (const double share : {1.0 + 1e-12, 2.0}) {
      const Certificate certificate = certify(instance, share * alpha_max, zero);
      CHECK(certificate.primal == doctest::Approx(instance.loss.value(F)).epsilon(1e-15));
      CHECK(certificate.gap <= 1e-15 * certificate.primal);
    }
    CHECK(certify(instance, 0.9 * alpha_max, zero).gap > 0.0);
  }
}

TEST_CASE("the dual norm is the largest over blocks, relative to their weights") {
  const GatedProblem problem("squared", 70, 4, 200, 2, 6);
  Instance instance(problem);
  instance.weights = random_matrix(200, 1, 7).cwiseAbs();
  instance.weights[17] = 0.0;  // unpenalised: not a bound
  const Matrix Theta = random_matrix(70, 2, 8);
  double expected = 0.0;
  for (Index b = 0; b < 200; ++b) {
    if (b == 17) continue;
    const double norm = (instance.block(b).transpose() * Theta).norm();
    expected = std::max(expected, norm / instance.weights[b]);
  }
  Control control;
  for (const int n_threads : {1, 2}) {
    const double norm =
        reference_dual_norm(instance.op, instance.weights, Theta, n_threads, control).value;
    CHECK(norm == doctest::Approx(expected).epsilon(1e-13));
  }
}

TEST_CASE("tight blocks are those of a dual norm at least so large, in their order") {
  constexpr Index n_blocks = 2500;
  const GatedProblem problem("squared", 70, 4, n_blocks, 1, 6);
  const Matrix Theta = random_matrix(70, 1, 8);
  Matrix gradients(4, n_blocks);
  problem.design.reference_gradients(0, n_blocks, Theta, gradients.data());
  const double least = 0.9 * gradients.colwise().norm().maxCoeff();
  std::vector<Index> blocks;
  for (Index b = 0; b < n_blocks; ++b) {
    if (gradients.col(b).norm() >= least) blocks.push_back(b);
  }
  REQUIRE(blocks.size() > 1);
  for (const int n_threads : {1, 2, 3}) {
    Control control;
    const TightBlocks tight = tight_blocks(problem.design, Theta, least, n_threads, control);
    CHECK(tight.blocks == blocks);
    CHECK(same_bits(tight.gradients, Matrix(gradients(Eigen::all, blocks))));
  }
}

TEST_CASE("a dual point without any direction certifies nothing but zero") {
  const GatedProblem problem("squared", 40, 3, 10, 1, 9);
  const Instance instance(problem);
  Candidate candidate = random_candidate(instance, 0.1, 10);
  candidate.theta.setZero();
  const Certificate certificate = certify(instance, 0.1, candidate);
  CHECK(certificate.dual == 0.0);
  CHECK(certificate.gap == certificate.primal);
}

TEST_CASE("the final certificate notices signals but not the time limit") {
  const GatedProblem problem("squared", 40, 3, 10, 1, 11);
  const Instance instance(problem);
  const Matrix Theta = random_matrix(40, 1, 12);
  Control late;
  late.time_limit = 0.0;
  CHECK(reference_dual_norm(instance.op, instance.weights, Theta, kThreads, late).value > 0.0);
  Control interrupted;
  interrupted.check_signals = [] { throw std::runtime_error("signal"); };
  CHECK_THROWS_WITH_AS(
      reference_dual_norm(instance.op, instance.weights, Theta, kThreads, interrupted), "signal",
      std::runtime_error);
}

}  // namespace
}  // namespace cvxnn
