#include "cvxnn/kernels/masked_product.hpp"
#include "fixtures.hpp"

namespace cvxnn::kernels {
namespace {

using namespace testing;

template <class Data, class Arithmetic>
struct Types {
  using T = Data;
  using A = Arithmetic;
  // Of the sum of absolute values, which bounds the rounding of any order of summation.
  static constexpr double kTolerance = std::is_same_v<A, float> ? 1e-6 : 1e-13;
};
using FloatInFloat = Types<float, float>;
using FloatInDouble = Types<float, double>;
using DoubleInDouble = Types<double, double>;

template <class Types>
struct Products {
  using T = typename Types::T;
  using A = typename Types::A;

  DataMatrix<T> x;
  Patterns patterns;
  int n_threads = kThreads;

  Products(Index n, Index d, Index n_patterns, unsigned seed)
      : x(random_data<T>(n, d, seed)), patterns(random_patterns(n, n_patterns, seed + 1)) {}

  Matrix gradients(const std::vector<Index>& list, const Matrix& R) const {
    Control control;
    ProductScratch<A> scratch;
    Matrix out(x.cols(), R.cols() * static_cast<Index>(list.size()));
    masked_gradients(map(x), patterns.view(), list, R, n_threads, control, scratch, out.data());
    return out;
  }

  Matrix forward(const std::vector<Index>& list, const Matrix& coefs, Index n_outputs) const {
    ProductScratch<A> scratch;
    Matrix F = Matrix::Constant(x.rows(), n_outputs, 99.0);  // to be overwritten
    masked_forward(map(x), patterns.view(), list, coefs.data(), n_threads, scratch, F);
    return F;
  }
};

template <class Types>
void check_gradients(const Products<Types>& products, const std::vector<Index>& list,
                     const Matrix& R) {
  const Matrix out = products.gradients(list, R);
  for (std::size_t j = 0; j < list.size(); ++j) {
    const Matrix block = masked_block(products.x, products.patterns.view(), list[j]);
    const Matrix scale = block.cwiseAbs().transpose() * R.cwiseAbs();
    const auto part = out.middleCols(static_cast<Index>(j) * R.cols(), R.cols());
    CHECK(relative_error(part, block.transpose() * R, scale) <= Types::kTolerance);
  }
}

template <class Types>
void check_forward(const Products<Types>& products, const std::vector<Index>& list,
                   const Matrix& coefs, Index n_outputs) {
  Matrix expected = Matrix::Zero(products.x.rows(), n_outputs), scale = expected;
  for (std::size_t j = 0; j < list.size(); ++j) {
    const Matrix block = masked_block(products.x, products.patterns.view(), list[j]);
    const Matrix W = coefs.middleCols(static_cast<Index>(j) * n_outputs, n_outputs);
    expected += block * W;
    scale += block.cwiseAbs() * W.cwiseAbs();
  }
  CHECK(relative_error(products.forward(list, coefs, n_outputs), expected, scale) <=
        Types::kTolerance);
}

template <class Types>
void check_both(Index n, Index d, Index n_patterns, const std::vector<Index>& list,
                Index n_outputs) {
  CAPTURE(n);
  CAPTURE(d);
  CAPTURE(n_patterns);
  CAPTURE(n_outputs);
  const unsigned seed = static_cast<unsigned>(n + 7 * d + 31 * n_patterns);
  const Products<Types> products(n, d, n_patterns, seed);
  check_gradients(products, list, random_matrix(n, n_outputs, seed + 2));
  const Index columns = n_outputs * static_cast<Index>(list.size());
  check_forward(products, list, random_matrix(d, columns, seed + 3), n_outputs);
}

TEST_CASE_TEMPLATE("products of every shape agree with a dense twin", Kind, FloatInFloat,
                   FloatInDouble, DoubleInDouble) {
  for (const Index d : {1, 3, 16, 17, 33, 104}) {
    for (const Index n : {1, 63, 64, 65, 200}) {
      check_both<Kind>(n, d, 1, {0}, 1);
      check_both<Kind>(n, d, 13, all_blocks(13), 2);
    }
    check_both<Kind>(130, d, 170, all_blocks(170), 1);
  }
}

TEST_CASE_TEMPLATE("sums over strips and chunks of samples agree with a dense twin", Kind,
                   FloatInFloat, FloatInDouble, DoubleInDouble) {
  check_both<Kind>(2048, 3, 6, all_blocks(6), 1);
  check_both<Kind>(2049, 17, 6, all_blocks(6), 3);
  check_both<Kind>(2048 * 17 + 5, 2, 3, all_blocks(3), 2);
}

TEST_CASE_TEMPLATE("a list may skip, repeat and reorder patterns", Kind, FloatInFloat,
                   FloatInDouble, DoubleInDouble) {
  check_both<Kind>(150, 9, 100, {3, 4, 7, 50, 99}, 3);
  check_both<Kind>(150, 9, 100, {42}, 1);
  check_both<Kind>(2100, 9, 100, {80, 2, 2, 31}, 2);
  std::vector<Index> odd;
  for (Index p = 1; p < 400; p += 2) odd.push_back(p);
  check_both<Kind>(70, 5, 400, odd, 1);
}

TEST_CASE_TEMPLATE("an empty list gives no gradient and a zero fit", Kind, FloatInFloat,
                   DoubleInDouble) {
  const Products<Kind> products(70, 4, 5, 1);
  CHECK(products.gradients({}, random_matrix(70, 1, 2)).size() == 0);
  CHECK(products.forward({}, Matrix(4, 0), 2) == Matrix::Zero(70, 2));
}

TEST_CASE_TEMPLATE("results have the same bits for any number of threads", Kind, FloatInFloat,
                   FloatInDouble, DoubleInDouble) {
  // One chunk, whose groups of tiles are shared out; several chunks.
  for (const auto& size : {std::pair<Index, Index>{500, 100}, {9000, 40}}) {
    const Index n = size.first, d = size.second;
    Products<Kind> products(n, d, 300, 11);
    const std::vector<Index> list = all_blocks(300);
    const Matrix R = random_matrix(n, 2, 12), coefs = random_matrix(d, 600, 13);
    const Matrix gradients = products.gradients(list, R);
    const Matrix fit = products.forward(list, coefs, 2);
    for (const int n_threads : {2, 3, 8}) {
      CAPTURE(n_threads);
      products.n_threads = n_threads;
      CHECK(same_bits(gradients, products.gradients(list, R)));
      CHECK(same_bits(fit, products.forward(list, coefs, 2)));
    }
  }
}

TEST_CASE_TEMPLATE("gradients keep their accuracy at any scale of the residual", Kind, FloatInFloat,
                   FloatInDouble, DoubleInDouble) {
  const Products<Kind> products(300, 6, 20, 21);
  const Matrix R = random_matrix(300, 1, 22);
  for (const double scale : {1e-300, 1e-60, 1e-30, 1e30, 1e60, 1e300}) {
    CAPTURE(scale);
    check_gradients(products, {0, 5, 19}, scale * R);
  }
  CHECK(products.gradients({0, 5}, Matrix::Zero(300, 1)) == Matrix::Zero(6, 2));
}

TEST_CASE("scratch space serves products of changing shape") {
  const Products<DoubleInDouble> products(2200, 18, 40, 31);
  ProductScratch<double> scratch;
  Control control;
  for (const Index n_outputs : {1, 3, 2}) {
    for (const std::vector<Index>& list : {all_blocks(40), std::vector<Index>{1, 9}}) {
      const Matrix R = random_matrix(2200, n_outputs, 32);
      Matrix out(18, n_outputs * static_cast<Index>(list.size()));
      masked_gradients(map(products.x), products.patterns.view(), list, R, 2, control, scratch,
                       out.data());
      CHECK(same_bits(out, products.gradients(list, R)));
    }
  }
}

TEST_CASE("a stop request ends a product") {
  const Products<DoubleInDouble> products(100, 3, 4, 41);
  ProductScratch<double> scratch;
  Control control;
  control.time_limit = 0.0;
  Matrix out(3, 4);
  const Matrix R = random_matrix(100, 1, 42);
  CHECK_THROWS_AS(masked_gradients(map(products.x), products.patterns.view(), all_blocks(4), R, 1,
                                   control, scratch, out.data()),
                  StopRequest);
}

}  // namespace
}  // namespace cvxnn::kernels
