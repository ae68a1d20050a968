#include "cvxnn/operators/masked.hpp"
#include "cvxnn/spectra.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 40, kFeatures = 5, kBlocks = 3;

struct Case {
  DataMatrix<double> x = random_data<double>(kSamples, kFeatures, 1);
  Patterns patterns = random_patterns(kSamples, kBlocks, 2);
  MaskedDesign<double> design{map(x), patterns.view(), 1};
  BlockSpectra spectra{design, 1};

  // Of the spectrum less the Gram matrix, relative to that.
  Vector excess(Index b, ConstVectorRef h) const {
    Matrix gram(kFeatures, kFeatures);
    design.gram(b, h, gram);
    const BlockSpectrum& spectrum = spectra[b];
    const Matrix bound =
        spectrum.vectors * spectrum.values.asDiagonal() * spectrum.vectors.transpose();
    return eigenvalues(bound - gram) / gram.norm();
  }
};

TEST_CASE("spectra bound the Gram matrices while the curvature changes little") {
  Case c;
  Vector h = random_matrix(kSamples, 1, 3).cwiseAbs().array() + 0.5;
  c.spectra.prepare({0, 1}, h);
  const double effort = c.spectra.effort();
  for (unsigned seed = 4; seed < 12; ++seed) {
    h = h.cwiseProduct(Vector(1.0 + 0.1 * random_matrix(kSamples, 1, seed).array()));
    h *= seed % 2 == 0 ? 100.0 : 0.01;
    c.spectra.prepare({0, 1}, h);
    for (const Index b : {0, 1}) {
      CHECK(c.excess(b, h).minCoeff() >= -1e-12);
      CHECK(c.excess(b, h).maxCoeff() <= 3.0);
    }
    if (seed == 4) CHECK(c.spectra.effort() == effort);  // nothing was decomposed
  }
  c.spectra.prepare({2}, h);
  CHECK(c.excess(2, h).minCoeff() >= -1e-12);
}

TEST_CASE("spectra are exact where the curvature is new, or has moved far") {
  Case c;
  Vector h = Vector::Ones(kSamples);
  c.spectra.prepare({0}, h);
  CHECK(c.excess(0, h).cwiseAbs().maxCoeff() <= 1e-12);
  h[3] = 1e3;
  c.spectra.prepare({0}, h);
  CHECK(c.excess(0, h).cwiseAbs().maxCoeff() <= 1e-12);
  h[4] = 0.0;
  c.spectra.prepare({0}, h);
  h[4] = 1.0;
  c.spectra.prepare({0}, h);  // no multiple of zero bounds it
  CHECK(c.excess(0, h).minCoeff() >= -1e-12);
}

// Callers keep references from one call to the next.
TEST_CASE("spectra stay where they are while the curvature does, also where it is zero") {
  Case c;
  Vector h = Vector::Ones(kSamples);
  c.spectra.prepare({0}, h);
  for (const double scale : {1.0, 0.0}) {
    h *= scale;
    c.spectra.prepare({0, 1}, h);
    const BlockSpectrum* kept = &c.spectra[0];
    const double effort = c.spectra.effort();
    c.spectra.prepare({0, 1}, h);
    CHECK(&c.spectra[0] == kept);
    CHECK(c.spectra.effort() == effort);
  }
}

}  // namespace
}  // namespace cvxnn
