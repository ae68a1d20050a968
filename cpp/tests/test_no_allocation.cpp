// The inner solver loop allocates nothing. What Eigen allocates is watched by Eigen, everything
// else by the counter of this program, which sees Eigen's only where the sanitizer counts.
#include "counting_new.hpp"
#include "cvxnn/aligned.hpp"
#include "cvxnn/bcd.hpp"
#include "cvxnn/operators/dense.hpp"
#include "forwarding.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// From the first visit of a block on, Eigen must not allocate: by then the setup of a descent is
// over. An allocation after that fails an assertion of Eigen.
class Guarded final : public Forwarding {
 public:
  using Forwarding::Forwarding;

  void gradient(Index b, ConstMatrixRef R, MatrixRef out) const override {
    Eigen::internal::set_is_malloc_allowed(false);
    op_.gradient(b, R, out);
  }
};

struct Run {
  Index epochs = 0;
  long allocations = 0;
};

// `epochs` epochs over all blocks, from zero.
Run descend(const Operator& op, const Loss& loss, const Matrix& free_columns,
            Acceleration acceleration, Index epochs) {
  const Guarded guarded(op);
  const Index n = op.n_samples(), n_outputs = loss.n_outputs();
  WorkingSet working;
  working.n_outputs = n_outputs;
  working.starts = {0};
  working.reset(op, all_blocks(op.n_blocks()), Vector::Ones(op.n_blocks()), 1e-3);
  QuadraticModel model;
  model.resize(n, n_outputs);
  loss.dual_point(model.F, model.Theta0);
  model.R = model.Theta0;
  loss.curvature(model.F, model.h);
  Unpenalised free(free_columns, n_outputs);
  free.set_curvature(model.h);
  BlockSpectra spectra(guarded, 1);
  BlockDescent descent(guarded, spectra, 1);
  Control control;
  Run run;
  const long before = allocation_count();
  run.epochs = descent.minimise(working, free, model, Precision::standard, acceleration, -1.0,
                                epochs, control);
  Eigen::internal::set_is_malloc_allowed(true);
  run.allocations = allocation_count() - before;
  CHECK(working.n_active() > 1);
  return run;
}

void check_epochs_allocate_nothing(const Operator& op, const Loss& loss, const Matrix& free,
                                   Index few, Index many,
                                   Acceleration acceleration = Acceleration::extrapolation) {
  descend(op, loss, free, acceleration,
          20);  // the products' scratch space grows when it is first used
  const Run a = descend(op, loss, free, acceleration, few),
            b = descend(op, loss, free, acceleration, many);
  CHECK(a.epochs == few);
  CHECK(b.epochs == many);
  CHECK(a.allocations > 0);  // the counter counts
  CHECK(a.allocations == b.allocations);
}

TEST_CASE("the counter sees every form of new") {
  const auto counted = [](auto&& make) {
    const long before = allocation_count();
    make();
    return allocation_count() - before;
  };
  CHECK(counted([] { delete new volatile int(1); }) == 1);
  CHECK(counted([] { std::vector<double> v(100); }) == 1);
  CHECK(counted([] { AlignedBuffer<double>().reserve(10); }) == 1);
}

TEST_CASE_TEMPLATE("epochs over a masked design allocate nothing", T, float, double) {
  for (const std::string& name : loss_names()) {
    for (const Index n_outputs : {1, 3}) {
      CAPTURE(name);
      CAPTURE(n_outputs);
      const auto x = random_data<T>(150, 30, 1);
      const Patterns patterns = random_patterns(150, 12, 2);
      const MaskedDesign<T> design(map(x), patterns.view(), 1);
      const auto loss = random_loss(name, 150, n_outputs, 3);
      for (const Matrix& free : {Matrix(150, 0), intercept(150), random_matrix(150, 20, 4)}) {
        check_epochs_allocate_nothing(design, *loss, free, 10, 200);
      }
    }
  }
}

// So few steps that none is idle: Newton steps end by themselves where rounding forbids more. So
// many samples that no system is factored over them.
TEST_CASE_TEMPLATE("Newton steps over a masked design allocate nothing", T, float, double) {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const auto x = random_data<T>(1200, 30, 1);
    const Patterns patterns = random_patterns(1200, 12, 2);
    const MaskedDesign<T> design(map(x), patterns.view(), 1);
    const auto loss = random_loss(name, 1200, 1, 3);
    for (const Matrix& free : {Matrix(1200, 0), intercept(1200), random_matrix(1200, 20, 4)}) {
      check_epochs_allocate_nothing(design, *loss, free, 2, 8, Acceleration::newton);
    }
  }
}

// A preconditioner is made once a step; what follows until its solution allocates nothing.
TEST_CASE_TEMPLATE("the iterations of a Newton system allocate nothing", T, float, double) {
  for (const Index d : {6, 30}) {  // fewer and more features than blocks
    const auto x = random_data<T>(150, d, 1);
    const Patterns patterns = random_patterns(150, 12, 2);
    const MaskedDesign<T> design(map(x), patterns.view(), 1);
    WorkingSet working;
    working.starts = {0};
    working.reset(design, all_blocks(12), Vector::Ones(12), 1e-3);
    working.coefs = random_matrix(12 * d, 1, 3);
    const Vector h = Vector::Constant(150, 1.0 / 150);
    Unpenalised free(intercept(150), 1);
    free.set_curvature(h);
    BlockSpectra spectra(design, 1);
    spectra.prepare(working.blocks, h);
    NewtonSystem system(design, spectra, 1);
    system.reserve(working);
    Control control;
    Vector y(12 * d);
    Matrix Ay(150, 1);
    const Vector rhs = random_matrix(12 * d, 1, 4);
    system.set(working, working.coefs, h);
    const auto allocations = [&](Index iterations) {
      const long before = allocation_count();
      system.solve(rhs, 1e-12, iterations, free, Precision::standard, control, y, Ay);
      return allocation_count() - before;
    };
    allocations(1);  // grows scratch space
    CHECK(allocations(2) == allocations(5));
    CHECK(y.norm() > 0.0);
  }
}

// Of a loss whose outputs are curved apart, and with an unpenalised block that follows.
TEST_CASE("the iterations of a loss's Newton system allocate nothing") {
  for (const Index d : {6, 30}) {
    const auto x = random_data<double>(150, d, 1);
    const Patterns patterns = random_patterns(150, 12, 2);
    const MaskedDesign<double> design(map(x), patterns.view(), 1);
    const auto loss = random_loss("softmax", 150, 3, 5);
    WorkingSet working;
    working.n_outputs = 3;
    working.starts = {0};
    working.reset(design, all_blocks(12), Vector::Ones(12), 1e-3);
    working.coefs = random_matrix(12 * d * 3, 1, 3);
    const Matrix F = random_matrix(150, 3, 6);
    Vector h(150);
    loss->curvature(F, h);
    LossHessian hessian;
    loss->hessian(F, hessian);
    Unpenalised free(intercept(150), 3);
    ProfiledHessian profiled;
    REQUIRE(profiled.set(hessian, free));
    BlockSpectra spectra(design, 1);
    NewtonSystem system(design, spectra, 1);
    system.reserve(working);
    system.set(working, working.coefs, h, &profiled);
    Control control;
    Vector y(12 * d * 3);
    Matrix Ay(150, 3);
    const Vector rhs = random_matrix(12 * d * 3, 1, 4);
    const auto allocations = [&](Index iterations) {
      const long before = allocation_count();
      system.solve(rhs, 1e-12, iterations, free, Precision::accurate, control, y, Ay);
      return allocation_count() - before;
    };
    allocations(1);
    CHECK(allocations(2) == allocations(5));
    CHECK(y.norm() > 0.0);
  }
}

TEST_CASE("epochs over majorised blocks allocate nothing") {
  const auto x = random_data<double>(100, kExactBlockSize + 1, 5);
  const Patterns patterns = random_patterns(100, 3, 6);
  const MaskedDesign<double> design(map(x), patterns.view(), 1);
  const auto loss = random_loss("squared", 100, 2, 7);
  check_epochs_allocate_nothing(design, *loss, intercept(100), 10, 60);
}

// A dense design lists its blocks at each evaluation of the gap, every ten epochs; the epochs
// between, with an extrapolation among them, allocate nothing.
TEST_CASE_TEMPLATE("epochs over a dense design allocate nothing", T, float, double) {
  const auto x = random_data<T>(90, 40, 8);
  const DenseDesign<T> design(map(x), {0, 5, 12, 13, 30, 40}, 1);
  const auto loss = random_loss("logistic", 90, 2, 9);
  check_epochs_allocate_nothing(design, *loss, intercept(90), 2, 9);
}

}  // namespace
}  // namespace cvxnn
