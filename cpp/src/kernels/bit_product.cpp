#include "cvxnn/kernels/bit_product.hpp"

namespace cvxnn::kernels {
namespace {

// tables[g][b] = sum of the tile rows that the bits of b select in group g. Groups past the inputs
// are looked up with b = 0 only.
template <class T, int Lanes, int Bits>
void build_tables(const T* tile, Index n_in, int n_groups, T* tables) {
  using Row = Eigen::Map<Packet<T, Lanes>, Eigen::Aligned32>;
  using ConstRow = Eigen::Map<const Packet<T, Lanes>, Eigen::Aligned32>;
  for (int group = 0; group < n_groups; ++group) {
    T* table = tables + (static_cast<Index>(group) << Bits) * Lanes;
    Row(table).setZero();
    const Index first = static_cast<Index>(group) * Bits;
    for (int j = 0; j < Bits && first < n_in; ++j) {
      Packet<T, Lanes> row;
      if (first + j < n_in) {
        row = ConstRow(tile + (first + j) * Lanes);
      } else {
        row.setZero();
      }
      const int half = 1 << j;
      for (int b = 0; b < half; ++b) {
        Row(table + (half + b) * Lanes) = ConstRow(table + b * Lanes) + row;
      }
    }
  }
}

// The byte offset of a group's entry is cut out of the word with one shift and one mask.
template <class T, int Lanes, int Bits, int Group>
Eigen::Map<const Packet<T, Lanes>, Eigen::Aligned32> entry(std::uint64_t word, const T* tables) {
  constexpr int kShift = __builtin_ctz(Lanes * sizeof(T));
  constexpr std::uint64_t kMask = ((std::uint64_t{1} << Bits) - 1) << kShift;
  constexpr int kLow = Bits * Group;
  const std::uint64_t offset = (kLow >= kShift ? word >> (kLow >= kShift ? kLow - kShift : 0)
                                               : word << (kLow >= kShift ? 0 : kShift - kLow)) &
                               kMask;
  const T* table = tables + (static_cast<Index>(Group) << Bits) * Lanes;
  return Eigen::Map<const Packet<T, Lanes>, Eigen::Aligned32>(
      reinterpret_cast<const T*>(reinterpret_cast<const char*>(table) + offset));
}

template <class T, int Lanes, int Bits, int... Groups>
void sum_word(std::uint64_t word, const T* tables, Packet<T, Lanes>& sum,
              std::integer_sequence<int, Groups...>) {
  ((sum += entry<T, Lanes, Bits, Groups>(word, tables)), ...);
}

template <class T, int Lanes, int Bits, int NGroups>
void sum_all(const std::uint64_t* words, Index n_out, const T* tables, T* out) {
  using Row = Eigen::Map<Packet<T, Lanes>, Eigen::Aligned32>;
  for (Index r = 0; r < n_out; ++r) {
    Packet<T, Lanes> sum = Row(out + r * Lanes);
    sum_word<T, Lanes, Bits>(words[r], tables, sum, std::make_integer_sequence<int, NGroups>{});
    Row(out + r * Lanes) = sum;
  }
}

template <class T, int Lanes, int Bits, int NGroups>
void product_of(const std::uint64_t* words, Index n_out, const T* tile, Index n_in, T* out,
                T* tables) {
  build_tables<T, Lanes, Bits>(tile, n_in, NGroups, tables);
  sum_all<T, Lanes, Bits, NGroups>(words, n_out, tables, out);
}

template <class T, int Lanes, int Bits>
void product(const std::uint64_t* words, Index n_out, const T* tile, Index n_in, T* out,
             T* tables) {
  constexpr int kGroups = (64 + Bits - 1) / Bits;
  static_assert((kGroups << Bits) * Lanes <= table_size<T>());
  const Index used = (n_in + Bits - 1) / Bits;
  // Few inputs (a small active set) need few groups; a short ladder keeps the loop unrolled.
  if (used <= kGroups / 4) {
    product_of<T, Lanes, Bits, kGroups / 4>(words, n_out, tile, n_in, out, tables);
  } else if (used <= kGroups / 2) {
    product_of<T, Lanes, Bits, kGroups / 2>(words, n_out, tile, n_in, out, tables);
  } else {
    product_of<T, Lanes, Bits, kGroups>(words, n_out, tile, n_in, out, tables);
  }
}

}  // namespace

// Larger tables pay once there are enough outputs to share their cost; on narrow tiles the index
// arithmetic of a lookup weighs more, so they pay sooner and go one bit further.
template <class T>
void bit_product(const std::uint64_t* words, Index n_out, const T* tile, Index n_in, int lanes,
                 T* out, T* tables) {
  constexpr int kWide = kWideLanes<T>;
  constexpr Index kFewOutputs = 160;
  const bool few = n_out < kFewOutputs;
  if (lanes == kWide) {
    few ? product<T, kWide, 4>(words, n_out, tile, n_in, out, tables)
        : product<T, kWide, 5>(words, n_out, tile, n_in, out, tables);
  } else if (lanes == kWide / 2) {
    few ? product<T, kWide / 2, 4>(words, n_out, tile, n_in, out, tables)
        : product<T, kWide / 2, 6>(words, n_out, tile, n_in, out, tables);
  } else {
    few ? product<T, kWide / 4, 4>(words, n_out, tile, n_in, out, tables)
        : product<T, kWide / 4, 6>(words, n_out, tile, n_in, out, tables);
  }
}

// Recursive block transpose (Warren, Hacker's Delight, sec. 7-3).
void transpose64(std::uint64_t* rows) {
  std::uint64_t mask = 0x00000000FFFFFFFFULL;
  for (int width = 32; width != 0; width >>= 1, mask ^= mask << width) {
    for (int r = 0; r < 64; r = ((r | width) + 1) & ~width) {
      const std::uint64_t swap = ((rows[r] >> width) ^ rows[r | width]) & mask;
      rows[r] ^= swap << width;
      rows[r | width] ^= swap;
    }
  }
}

template void bit_product(const std::uint64_t*, Index, const float*, Index, int, float*, float*);
template void bit_product(const std::uint64_t*, Index, const double*, Index, int, double*, double*);

}  // namespace cvxnn::kernels
