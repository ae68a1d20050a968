// The dual norm over neurons that feed several outputs: maxima over cones, and which are certain.
#include "cvxnn/cone_peaks.hpp"
#include "cvxnn/operators/signed.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

struct Peaked {
  DataMatrix<double> x, gates;
  Patterns patterns;
  SignedDesign design;
  Vector weights;

  Peaked(Index n, Index d, Index n_patterns, unsigned seed, int n_threads = kThreads)
      : x(random_data<double>(n, d, seed)),
        gates(random_data<double>(d, n_patterns, seed + 1)),
        patterns(packed(x, gates)),
        design(std::make_unique<MaskedDesign<double>>(map(x), patterns.view(), n_threads),
               ActivationCones(map(x), patterns.view())),
        weights(random_matrix(n_patterns, 1, seed + 2).cwiseAbs().array() + 0.5) {}

  static Patterns packed(const DataMatrix<double>& x, const DataMatrix<double>& gates) {
    Patterns patterns(x.rows(), gates.cols());
    pack_patterns(map(x), map(gates), Vector(), kThreads, patterns.words().data());
    return patterns;
  }
  ConePeaks peaks(ConstMatrixRef Theta, double least, bool thorough,
                  int n_threads = kThreads) const {
    Control control;
    return cone_peaks(design, weights, Theta, least, {{}, Matrix(x.cols(), 0)}, thorough, n_threads,
                      control);
  }
  // The value at u, and how far u is outside its cone.
  double value(Index b, ConstMatrixRef Theta, ConstVectorRef u) const {
    return (masked_block(x, patterns.view(), b).transpose() * Theta)
               .transpose()
               .operator*(u)
               .norm() /
           weights[b];
  }
  double outside(Index b, ConstVectorRef u) const {
    Vector signs(design.cones()->rows(b).rows());
    design.cones()->signs(b, signs);
    return -(signs.asDiagonal() * design.cones()->rows(b) * u).minCoeff();
  }
};

TEST_CASE("peaks are in their cones, and no point of the circle is higher") {
  const Peaked problem(9, 2, 12, 1);
  const Matrix Theta = random_matrix(9, 3, 5);
  const ConePeaks found = problem.peaks(Theta, 0.0, false);
  CHECK(found.exact);
  REQUIRE(found.blocks.size() == 12);
  for (Index b = 0; b < 12; ++b) {
    CAPTURE(b);
    CHECK(found.blocks[b] == b);
    const Vector u = found.directions.col(b);
    CHECK(u.norm() == doctest::Approx(1.0).epsilon(1e-14));
    CHECK(problem.outside(b, u) <= 1e-12);
    CHECK(problem.value(b, Theta, u) == doctest::Approx(found.values[b]).epsilon(1e-12));
    double highest = 0.0;
    for (int k = 0; k < 20000; ++k) {
      const double angle = 2.0 * M_PI * k / 20000.0;
      const Vector point = Eigen::Vector2d(std::cos(angle), std::sin(angle));
      if (problem.outside(b, point) <= 0.0) {
        highest = std::max(highest, problem.value(b, Theta, point));
      }
    }
    CHECK(highest > 0.9 * found.values[b]);
    CHECK(highest <= found.values[b] * (1.0 + 1e-12));
  }
  CHECK(found.largest == found.values.maxCoeff());
}

TEST_CASE("of one output a peak is a projection, with either sign") {
  const Peaked problem(30, 5, 20, 11);
  const Matrix theta = random_matrix(30, 1, 12);
  const ConePeaks found = problem.peaks(theta, 0.0, false);
  CHECK(found.exact);
  REQUIRE(found.blocks.size() == 20);
  for (Index b = 0; b < 20; ++b) {
    double norm = 0.0;
    for (const Index block : {b, 20 + b}) {
      Matrix G(5, 1);
      problem.design.gradient(block, theta, G);
      norm = std::max(norm, problem.design.restrict(block, G));
    }
    CHECK(found.values[b] * problem.weights[b] == doctest::Approx(norm).epsilon(1e-10));
  }
}

TEST_CASE("a thorough search is no worse, and random points of cones are lower") {
  const Peaked problem(20, 4, 15, 21);
  const Matrix Theta = random_matrix(20, 3, 22);
  const ConePeaks quick = problem.peaks(Theta, 0.0, false);
  const ConePeaks thorough = problem.peaks(Theta, 0.0, true);
  REQUIRE(thorough.blocks.size() == 15);
  CHECK(thorough.largest >= quick.largest);
  CHECK_FALSE(thorough.exact);
  for (Index b = 0; b < 15; ++b) {
    for (unsigned seed = 0; seed < 200; ++seed) {
      Vector u = random_matrix(4, 1, 1000 * static_cast<unsigned>(b) + seed);
      problem.design.cones()->project(b, u);
      if (u.norm() < 1e-6) continue;  // of which rounding is all
      CHECK(problem.value(b, Theta, u.normalized()) <= thorough.values[b] * (1.0 + 1e-9));
    }
  }
}

TEST_CASE("blocks that cannot be above the least are not looked at") {
  const Peaked problem(20, 3, 15, 31);
  const Matrix Theta = random_matrix(20, 2, 32);
  const ConePeaks all = problem.peaks(Theta, 0.0, true);
  const double least = 0.8 * all.largest;
  const ConePeaks some = problem.peaks(Theta, least, true);
  CHECK(some.blocks.size() < all.blocks.size());
  CHECK(some.largest == all.largest);
  std::size_t above = 0;
  for (Index j = 0; j < all.values.size(); ++j) above += all.values[j] > least ? 1 : 0;
  CHECK(some.blocks.size() == above);
  const ConePeaks none = problem.peaks(Theta, 100.0 * all.largest, true);
  CHECK(none.blocks.empty());
  CHECK(none.exact);
}

TEST_CASE("a start of the caller's is climbed from") {
  const Peaked problem(20, 4, 15, 21);
  const Matrix Theta = random_matrix(20, 3, 22);
  const ConePeaks found = problem.peaks(Theta, 0.0, true);
  Control control;
  const ConePeaks again = cone_peaks(problem.design, problem.weights, Theta, 0.0,
                                     {found.blocks, found.directions}, false, kThreads, control);
  for (Index b = 0; b < 15; ++b) CHECK(again.values[b] >= found.values[b] * (1.0 - 1e-12));
}

TEST_CASE("one bit for any number of threads") {
  const Peaked problem(50, 4, 40, 41);
  const Matrix Theta = random_matrix(50, 3, 42);
  const ConePeaks one = problem.peaks(Theta, 0.0, true, 1),
                  two = problem.peaks(Theta, 0.0, true, 2);
  CHECK(one.blocks == two.blocks);
  CHECK(same_bits(one.directions, two.directions));
  CHECK(same_bits(Matrix(one.values), Matrix(two.values)));
}

}  // namespace
}  // namespace cvxnn
