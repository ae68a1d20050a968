#include <array>

#include "cvxnn/aligned.hpp"
#include "cvxnn/kernels/bit_product.hpp"
#include "fixtures.hpp"

namespace cvxnn::kernels {
namespace {

// Small integers add up without rounding, in any order: results must agree to the last bit.
template <class T>
void fill_with_integers(T* values, Index size, std::mt19937_64& engine) {
  std::uniform_int_distribution<int> digit(-50, 50);
  for (Index i = 0; i < size; ++i) values[i] = static_cast<T>(digit(engine));
}

std::vector<std::uint64_t> random_words(Index count, Index n_bits, std::mt19937_64& engine) {
  const std::uint64_t mask = n_bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n_bits) - 1;
  std::vector<std::uint64_t> words(static_cast<std::size_t>(count));
  for (std::uint64_t& word : words) word = engine() & mask;
  words.front() = mask;  // every input at once
  words.back() = 0;
  return words;
}

template <class T>
void check_product(Index n_out, Index n_in, int lanes) {
  CAPTURE(n_out);
  CAPTURE(n_in);
  CAPTURE(lanes);
  std::mt19937_64 engine(static_cast<unsigned>(1000 * n_out + 10 * n_in + lanes));
  const std::vector<std::uint64_t> words = random_words(n_out, n_in, engine);
  AlignedBuffer<T> tile, out, tables;
  fill_with_integers(tile.reserve(n_in * lanes), n_in * lanes, engine);
  fill_with_integers(out.reserve(n_out * lanes), n_out * lanes, engine);

  std::vector<T> expected(out.data(), out.data() + n_out * lanes);
  for (Index r = 0; r < n_out; ++r) {
    for (Index i = 0; i < n_in; ++i) {
      if (((words[r] >> i) & 1U) == 0) continue;
      for (Index j = 0; j < lanes; ++j) expected[r * lanes + j] += tile.data()[i * lanes + j];
    }
  }
  bit_product(words.data(), n_out, tile.data(), n_in, lanes, out.data(),
              tables.reserve(table_size<T>()));
  CHECK(std::equal(expected.begin(), expected.end(), out.data()));
}

TEST_CASE_TEMPLATE("bit_product adds the selected rows of the tile", T, float, double) {
  constexpr int kWide = kWideLanes<T>;
  // Both sides of every rung: tables by the number of outputs, groups by the number of inputs.
  for (const int lanes : {kWide / 4, kWide / 2, kWide}) {
    for (const Index n_out : {1, 2, 159, 160, 200}) {
      for (const Index n_in : {1, 4, 5, 12, 15, 16, 17, 30, 32, 33, 36, 37, 63, 64}) {
        check_product<T>(n_out, n_in, lanes);
      }
    }
  }
}

TEST_CASE_TEMPLATE("tile_lanes is the narrowest tile that holds the columns", T, float, double) {
  constexpr int kWide = kWideLanes<T>;
  CHECK(tile_lanes<T>(1) == kWide / 4);
  CHECK(tile_lanes<T>(kWide / 4) == kWide / 4);
  CHECK(tile_lanes<T>(kWide / 4 + 1) == kWide / 2);
  CHECK(tile_lanes<T>(kWide / 2) == kWide / 2);
  CHECK(tile_lanes<T>(kWide / 2 + 1) == kWide);
  CHECK(tile_lanes<T>(10 * kWide) == kWide);
}

TEST_CASE("transpose64 moves bit c of row r to bit r of row c") {
  std::mt19937_64 engine(7);
  std::array<std::uint64_t, 64> rows{};
  for (std::uint64_t& row : rows) row = engine();
  rows[3] = 0;
  rows[60] = ~std::uint64_t{0};
  std::array<std::uint64_t, 64> naive{};
  for (int r = 0; r < 64; ++r) {
    for (int c = 0; c < 64; ++c) naive[c] |= ((rows[r] >> c) & 1U) << r;
  }
  std::array<std::uint64_t, 64> transposed = rows;
  transpose64(transposed.data());
  CHECK(transposed == naive);
  transpose64(transposed.data());
  CHECK(transposed == rows);
}

}  // namespace
}  // namespace cvxnn::kernels
