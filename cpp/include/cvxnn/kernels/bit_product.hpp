// The product of a bit matrix and a real matrix by tables of partial sums (the "four Russians"
// method): out[r] += sum_{i < n_in} bit_i(words[r]) * tile[i].
//
// Both directions of the masked design are this product. Pricing, X^T D_p r for all p, has samples
// as inputs and patterns as outputs; the forward map, sum_p D_p X w_p, has patterns as inputs and
// samples as outputs.
#pragma once

#include <cstdint>

#include "cvxnn/types.hpp"

namespace cvxnn::kernels {

// Inputs enter 64 at a time. The widest tile is 128 bytes: with 5-bit tables, the tables of one
// word (13 x 32 x 128 bytes) just fit a first-level cache, and a lookup costs one index for 8 SSE,
// 4 AVX2 or 2 AVX-512 additions.
constexpr Index kInputs = 64;
template <class T>
constexpr int kWideLanes = 128 / sizeof(T);

// Lanes of the narrowest tile (32, 64 or 128 bytes) that holds `width` columns, or the widest.
template <class T>
int tile_lanes(Index width) {
  if (width <= kWideLanes<T> / 4) return kWideLanes<T> / 4;
  if (width <= kWideLanes<T> / 2) return kWideLanes<T> / 2;
  return kWideLanes<T>;
}

// Number of T in the scratch space that bit_product wants, 64-byte aligned.
template <class T>
constexpr Index table_size() {
  return 13 * 32 * kWideLanes<T>;  // 5-bit tables on the widest tile; the others are smaller
}

// words[n_out]; tile: n_in x lanes, row-major, 64-byte aligned, n_in <= 64; out: n_out x lanes,
// row-major, 64-byte aligned. Bits at and past n_in must be zero. Sums run in a fixed order.
template <class T>
void bit_product(const std::uint64_t* words, Index n_out, const T* tile, Index n_in, int lanes,
                 T* out, T* tables);

// Transposes a 64 x 64 bit block in place: bit c of rows[r] becomes bit r of rows[c].
void transpose64(std::uint64_t* rows);

}  // namespace cvxnn::kernels
