#include "cvxnn/errors.hpp"
#include "cvxnn/operators/dense.hpp"
#include "cvxnn/operators/feature.hpp"
#include "cvxnn/operators/signed.hpp"
#include "cvxnn/operators/sparse_masked.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// What every operator must do, against its blocks written out. `standard` is the tolerance of the
// products that run in the arithmetic of the data.
struct Twin {
  const Operator& op;
  const std::vector<Matrix>& blocks;
  double standard;

  Matrix coefs(Index block, Index n_outputs) const {
    return random_matrix(op.block_size(block), n_outputs, 50 + static_cast<unsigned>(block));
  }
  Vector concatenated(const std::vector<Index>& list, Index n_outputs) const {
    std::vector<double> values;
    for (const Index b : list) {
      const Matrix W = coefs(b, n_outputs);
      values.insert(values.end(), W.data(), W.data() + W.size());
    }
    return Eigen::Map<const Vector>(values.data(), static_cast<Index>(values.size()));
  }
  Vector expected_gradients(const std::vector<Index>& list, const Matrix& R) const {
    std::vector<double> values;
    for (const Index b : list) {
      const Matrix G = blocks[b].transpose() * R;
      values.insert(values.end(), G.data(), G.data() + G.size());
    }
    return Eigen::Map<const Vector>(values.data(), static_cast<Index>(values.size()));
  }
  Matrix expected_forward(const std::vector<Index>& list, Index n_outputs) const {
    Matrix F = Matrix::Zero(op.n_samples(), n_outputs);
    for (const Index b : list) F += blocks[b] * coefs(b, n_outputs);
    return F;
  }
};

void check_shape(const Twin& twin) {
  REQUIRE(twin.op.n_blocks() == static_cast<Index>(twin.blocks.size()));
  for (Index b = 0; b < twin.op.n_blocks(); ++b) {
    CHECK(twin.op.n_samples() == twin.blocks[b].rows());
    REQUIRE(twin.op.block_size(b) == twin.blocks[b].cols());
    Matrix dense = Matrix::Constant(twin.blocks[b].rows(), twin.blocks[b].cols(), 9.0);
    twin.op.dense_block(b, dense);
    CHECK(dense == twin.blocks[b]);
  }
}

void check_products_of_lists(const Twin& twin, const std::vector<Index>& list, Index n_outputs) {
  CAPTURE(n_outputs);
  const Matrix R = random_matrix(twin.op.n_samples(), n_outputs, 60);
  const Vector gradients = twin.expected_gradients(list, R);
  const Vector coefs = twin.concatenated(list, n_outputs);
  const Matrix fit = twin.expected_forward(list, n_outputs);
  Control control;
  Vector out(gradients.size());
  Matrix F(twin.op.n_samples(), n_outputs);
  for (const Precision precision : {Precision::standard, Precision::accurate}) {
    const double tolerance = precision == Precision::standard ? twin.standard : 1e-13;
    twin.op.gradients(list, R, precision, control, out.data());
    CHECK(relative_error(out, gradients) <= tolerance);
    F.setConstant(9.0);
    twin.op.forward(list, coefs.data(), precision, F);
    CHECK(relative_error(F, fit) <= tolerance);
  }
  F.setConstant(9.0);
  twin.op.reference_forward(list, coefs.data(), F);
  CHECK(relative_error(F, fit) <= 1e-13);
}

void check_reference_gradients(const Twin& twin, Index first, Index count) {
  std::vector<Index> list;
  for (Index b = first; b < first + count; ++b) list.push_back(b);
  const Matrix R = random_matrix(twin.op.n_samples(), 3, 61);
  const Vector expected = twin.expected_gradients(list, R);
  Vector out(expected.size());
  twin.op.reference_gradients(first, count, R, out.data());
  CHECK(relative_error(out, expected) <= 1e-13);
}

void check_gradient_and_step(const Twin& twin, Index b, const Vector& h) {
  const Matrix R = random_matrix(twin.op.n_samples(), 2, 62);
  Matrix out = Matrix::Constant(twin.op.block_size(b), 2, 9.0);
  twin.op.gradient(b, R, out);
  CHECK(relative_error(out, twin.blocks[b].transpose() * R) <= 1e-13);

  const Matrix W = twin.coefs(b, 2), before = random_matrix(twin.op.n_samples(), 2, 63);
  Matrix F = before, residual = R;
  twin.op.step(b, W, h, F, residual);
  const Matrix change = twin.blocks[b] * W;
  CHECK(relative_error(F, before + change) <= 1e-13);
  CHECK(relative_error(residual, R - h.asDiagonal() * change) <= 1e-13);
}

void check_products_over_samples(const Twin& twin, const std::vector<Index>& list) {
  const Index n = twin.op.n_samples(), count = static_cast<Index>(list.size());
  const Vector scales = random_matrix(count, 1, 65).cwiseAbs();
  const Vector coefs = twin.concatenated(list, 1);
  Matrix gram = Matrix::Zero(n, n), images(n, count);
  for (Index j = 0; j < count; ++j) {
    gram += scales[j] * twin.blocks[list[j]] * twin.blocks[list[j]].transpose();
    images.col(j) = twin.blocks[list[j]] * twin.coefs(list[j], 1);
  }
  Control control;
  Matrix S = Matrix::Constant(n, n, 9.0);
  twin.op.sample_gram(list, scales, control, S);
  CHECK(relative_error(Matrix(S.triangularView<Eigen::Lower>()),
                       Matrix(gram.triangularView<Eigen::Lower>())) <= 1e-13);
  for (const Index first : {Index{0}, n / 2}) {
    Matrix out = Matrix::Constant(n - first, count, 9.0);
    twin.op.images(list, coefs.data(), first, out);
    CHECK(relative_error(out, images.bottomRows(n - first)) <= 1e-13);
  }
}

void check_curvature(const Twin& twin, const Vector& h) {
  const double bound = twin.op.curvature_bound(h);
  Vector norms(twin.op.n_blocks()), expected(twin.op.n_blocks());
  for (Index b = 0; b < twin.op.n_blocks(); ++b) {
    const Matrix gram = twin.blocks[b].transpose() * h.asDiagonal() * twin.blocks[b];
    Matrix H = Matrix::Constant(gram.rows(), gram.cols(), 9.0);
    twin.op.gram(b, h, H);
    CHECK(relative_error(H, gram) <= 1e-13);
    CHECK(same_bits(H, H.transpose()));
    expected[b] = gram.trace();
    CHECK(eigenvalues(H).maxCoeff() <= bound * (1.0 + 1e-12));
  }
  twin.op.squared_norms(h, norms);
  CHECK(relative_error(norms, expected) <= 1e-13);
}

void check_operator(const Twin& twin) {
  check_shape(twin);
  const Index n_blocks = twin.op.n_blocks();
  for (const Index n_outputs : {1, 3}) {
    check_products_of_lists(twin, all_blocks(n_blocks), n_outputs);
    check_products_of_lists(twin, {n_blocks - 1, 0}, n_outputs);
    check_products_of_lists(twin, {}, n_outputs);
  }
  check_products_over_samples(twin, all_blocks(n_blocks));
  check_products_over_samples(twin, {n_blocks - 1, 0});
  check_reference_gradients(twin, 0, n_blocks);
  check_reference_gradients(twin, 1, n_blocks - 2);
  Vector h = random_matrix(twin.op.n_samples(), 1, 64).cwiseAbs();
  for (Index b = 0; b < n_blocks; ++b) check_gradient_and_step(twin, b, h);
  check_curvature(twin, h);
  h.head(h.size() / 2).setZero();
  check_curvature(twin, h);
  check_curvature(twin, Vector::Zero(h.size()));
}

template <class T>
constexpr double standard_tolerance() {
  return std::is_same_v<T, float> ? 1e-5 : 1e-13;
}

TEST_CASE_TEMPLATE("MaskedDesign agrees with its blocks written out", T, float, double) {
  for (const auto& size : std::vector<std::pair<Index, Index>>{{1, 3}, {65, 1}, {300, 5}}) {
    const Index n = size.first, d = size.second;
    for (const int n_threads : {1, 2}) {
      CAPTURE(n);
      CAPTURE(d);
      const auto x = random_data<T>(n, d, 1);
      const Patterns patterns = random_patterns(n, 7, 2);
      const std::vector<Matrix> blocks = masked_blocks(x, patterns.view());
      check_operator(
          {MaskedDesign<T>(map(x), patterns.view(), n_threads), blocks, standard_tolerance<T>()});
    }
  }
}

TEST_CASE_TEMPLATE("SparseMaskedDesign agrees with its blocks written out", T, float, double) {
  for (const auto& size : std::vector<std::pair<Index, Index>>{{1, 3}, {65, 1}, {300, 7}}) {
    const Index n = size.first, d = size.second;
    for (const int n_threads : {1, 2}) {
      CAPTURE(n);
      CAPTURE(d);
      const auto x = random_sparse_data<T>(n, d, 11);
      const Compressed<T> rows(x);
      const Patterns patterns = random_patterns(n, 7, 2);
      const std::vector<Matrix> blocks = masked_blocks(x, patterns.view());
      check_operator(
          {SparseMaskedDesign<T>(rows.view(), patterns.view(), n_threads), blocks, 1e-13});
    }
  }
}

TEST_CASE("SparseMaskedDesign has the common features of MaskedDesign") {
  const auto x = random_sparse_data<double>(300, 7, 12);
  const Compressed<double> rows(x);
  const Patterns patterns = random_patterns(300, 7, 13);
  const SparseMaskedDesign<double> sparse(rows.view(), patterns.view(), 1);
  const MaskedDesign<double> dense(map(x), patterns.view(), 1);
  const Vector h = random_matrix(300, 1, 14).cwiseAbs();
  Matrix G = Matrix::Constant(7, 7, 9.0), expected(7, 7);
  sparse.feature_gram(h, G);
  dense.feature_gram(h, expected);
  CHECK(relative_error(G, expected) <= 1e-13);
  CHECK(same_bits(G, G.transpose()));
  CHECK(sparse.curvature_bound(h) == doctest::Approx(dense.curvature_bound(h)));
  sparse.overlaps({6, 0, 3}, G.topLeftCorner(3, 3));
  dense.overlaps({6, 0, 3}, expected.topLeftCorner(3, 3));
  CHECK(same_bits(Matrix(G.topLeftCorner(3, 3)), Matrix(expected.topLeftCorner(3, 3))));
}

// Enough entries for threads to pay, and patterns for several tiles.
TEST_CASE("sparse products are the same for any number of threads") {
  const auto x = random_sparse_data<double>(3000, 30, 15);
  const Compressed<double> rows(x);
  const Patterns patterns = random_patterns(3000, 45, 16);
  const std::vector<Index> all = all_blocks(45);
  const Matrix R = random_matrix(3000, 2, 17), W = random_matrix(30, 90, 18);
  Control control;
  std::vector<Matrix> gradients, fits;
  for (const int n_threads : {1, 2, 3}) {
    const SparseMaskedDesign<double> design(rows.view(), patterns.view(), n_threads);
    Matrix& G = gradients.emplace_back(30, 90);
    design.gradients(all, R, Precision::accurate, control, G.data());
    design.forward(all, W.data(), Precision::accurate, fits.emplace_back(3000, 2));
    CHECK(same_bits(G, gradients[0]));
    CHECK(same_bits(fits.back(), fits[0]));
  }
}

TEST_CASE_TEMPLATE("DenseDesign agrees with its groups of columns", T, float, double) {
  const auto x = random_data<T>(70, 12, 3);
  const std::vector<Index> starts{0, 1, 5, 7, 12};
  std::vector<Matrix> blocks;
  for (std::size_t b = 0; b + 1 < starts.size(); ++b) {
    blocks.push_back(x.middleCols(starts[b], starts[b + 1] - starts[b]).template cast<double>());
  }
  for (const int n_threads : {1, 2}) {
    check_operator({DenseDesign<T>(map(x), starts, n_threads), blocks, standard_tolerance<T>()});
  }
}

TEST_CASE_TEMPLATE("FeatureDesign holds a column of every pattern for each feature", T, float,
                   double) {
  for (const auto& size : std::vector<std::pair<Index, Index>>{{1, 3}, {65, 2}, {300, 5}}) {
    const Index n = size.first, d = size.second;
    for (const int n_threads : {1, 2}) {
      CAPTURE(n);
      CAPTURE(d);
      const auto x = random_data<T>(n, d, 11);
      const Patterns patterns = random_patterns(n, 7, 12);
      std::vector<Matrix> blocks(static_cast<std::size_t>(d), Matrix(n, 7));
      for (Index p = 0; p < 7; ++p) {
        const Matrix masked = masked_block(x, patterns.view(), p);
        for (Index j = 0; j < d; ++j) blocks[j].col(p) = masked.col(j);
      }
      check_operator(
          {FeatureDesign<T>(map(x), patterns.view(), n_threads), blocks, standard_tolerance<T>()});
    }
  }
}

TEST_CASE("SignedDesign holds each block and its negative") {
  const auto x = random_data<double>(70, 5, 8);
  const Patterns patterns = random_patterns(70, 7, 9);
  std::vector<Matrix> blocks = masked_blocks(x, patterns.view());
  for (Index p = 0; p < 7; ++p) blocks.push_back(-blocks[p]);
  for (const int n_threads : {1, 2}) {
    check_operator(
        {SignedDesign(std::make_unique<MaskedDesign<double>>(map(x), patterns.view(), n_threads),
                      ActivationCones(map(x), patterns.view())),
         blocks, 1e-13});
  }
}

// The Gram matrix is summed over buffers of 256 rows; an exactly full one leaves nothing behind,
// and of nothing Eigen makes a division by zero where the block is large enough to be cut in tiles.
TEST_CASE_TEMPLATE("the Gram matrix of exactly full buffers", T, float, double) {
  for (const Index d : {1, 4, 100}) {
    for (const Index n_active : {0, 1, 255, 256, 257, 512, 513}) {
      CAPTURE(d);
      CAPTURE(n_active);
      const auto x = random_data<T>(600, d, 4);
      Patterns patterns(600, 2);
      for (Index i = 0; i < n_active; ++i) patterns.activate((i * 7) % 600, 1);
      const MaskedDesign<T> design(map(x), patterns.view(), 1);
      const Vector h = random_matrix(600, 1, 5).cwiseAbs();
      const Matrix block = masked_block(x, patterns.view(), 1);
      Matrix H = Matrix::Constant(d, d, 9.0);
      design.gram(1, h, H);
      CHECK(relative_error(H, block.transpose() * h.asDiagonal() * block) <= 1e-13);
    }
  }
}

TEST_CASE("operators refuse shapes that do not fit") {
  const auto x = random_data<double>(10, 4, 6);
  const Patterns patterns = random_patterns(11, 2, 7);
  CHECK_THROWS_AS(MaskedDesign<double>(map(x), patterns.view(), 1), InvalidArgument);
  const Compressed<double> rows(x);
  CHECK_THROWS_AS(SparseMaskedDesign<double>(rows.view(), patterns.view(), 1), InvalidArgument);
  for (const std::vector<Index>& starts :
       {std::vector<Index>{}, {0}, {0, 3}, {1, 4}, {0, 2, 2, 4}, {0, 3, 2, 4}}) {
    CHECK_THROWS_AS(DenseDesign<double>(map(x), starts, 1), InvalidArgument);
  }
}

}  // namespace
}  // namespace cvxnn
