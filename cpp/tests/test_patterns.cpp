#include "cvxnn/patterns.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// Odd sizes around words, and a size that several threads share.
const std::vector<Index> kSizes{1, 63, 64, 65, 130, 2500};

template <class T>
Patterns pack(const DataMatrix<T>& x, const DataMatrix<double>& gates, ConstVectorRef offsets,
              int n_threads = kThreads) {
  Patterns patterns(x.rows(), gates.cols());
  // The kernel must overwrite, not add to, what it finds.
  std::fill(patterns.words().begin(), patterns.words().end(), ~Word{0});
  pack_patterns(map(x), map(gates), offsets, n_threads, patterns.words().data());
  return patterns;
}

// Feature by feature and the offset last, as the header promises.
template <class T>
bool active(const DataMatrix<T>& x, const DataMatrix<double>& gates, ConstVectorRef offsets,
            Index i, Index p) {
  double score = 0.0;
  for (Index k = 0; k < x.cols(); ++k) score += static_cast<double>(x(i, k)) * gates(k, p);
  if (offsets.size() > 0) score += offsets[p];
  return score > 0.0;
}

template <class T>
Index count_differences(const DataMatrix<T>& x, const DataMatrix<double>& gates,
                        ConstVectorRef offsets, const PatternView& patterns) {
  Index differences = 0;
  for (Index p = 0; p < patterns.n_patterns; ++p) {
    for (Index i = 0; i < x.rows(); ++i) {
      differences += patterns.bit(i, p) != active(x, gates, offsets, i, p);
    }
  }
  return differences;
}

bool tail_is_zero(const PatternView& patterns) {
  const Index used = patterns.n_samples % kWordBits;
  if (used == 0) return true;
  const Word* last = patterns.row(patterns.n_words() - 1);
  return std::all_of(last, last + patterns.n_patterns,
                     [&](Word word) { return (word >> used) == 0; });
}

TEST_CASE_TEMPLATE("a bit is a strictly positive score", T, float, double) {
  for (const Index n : kSizes) {
    for (const Index n_gates : {1, 8, 13}) {
      CAPTURE(n);
      CAPTURE(n_gates);
      const auto x = random_data<T>(n, 5, 1);
      const auto gates = random_data<double>(5, n_gates, 2);
      const Vector offsets = random_matrix(n_gates, 1, 3);
      for (const Vector& offset : {Vector(), offsets}) {
        const Patterns patterns = pack(x, gates, offset);
        CHECK(count_differences(x, gates, offset, patterns.view()) == 0);
        CHECK(tail_is_zero(patterns.view()));
      }
    }
  }
}

TEST_CASE_TEMPLATE("sparse data have the bits of dense ones", T, float, double) {
  for (const Index n : kSizes) {
    CAPTURE(n);
    const auto x = random_sparse_data<T>(n, 9, 1);
    const auto gates = random_data<double>(9, 13, 2);
    const Compressed<T> rows(x);
    for (const Vector& offset : {Vector(), Vector(random_matrix(13, 1, 3))}) {
      for (const int n_threads : {1, 2}) {
        Patterns patterns(n, 13);
        std::fill(patterns.words().begin(), patterns.words().end(), ~Word{0});
        pack_patterns(rows.view(), map(gates), offset, n_threads, patterns.words().data());
        CHECK(patterns.words() == pack(x, gates, offset).words());
      }
    }
  }
}

TEST_CASE("a score of zero is inactive") {
  DataMatrix<double> x(4, 2), gates(2, 2);
  x << 1, 1, 0, 0, -1, -1, 2, 1;
  gates << 1, -1, -1, 1;
  const Patterns patterns = pack(x, gates, Vector());
  CHECK(patterns.words() == std::vector<Word>{0b1000, 0});
  Vector offsets(2);
  offsets << -1.0, 1e-300;
  CHECK(pack(x, gates, offsets).words() == std::vector<Word>{0, 0b0111});
}

TEST_CASE("bits do not depend on threads, on the type of the data or on the batch") {
  const Index n = 5003;
  const auto x = random_data<float>(n, 7, 4);
  const auto gates = random_data<double>(7, 21, 5);
  const Vector offsets = random_matrix(21, 1, 6);
  const Patterns one = pack(x, gates, offsets, 1);
  CHECK(one.words() == pack(x, gates, offsets, 2).words());
  CHECK(one.words() == pack(x, gates, offsets, 3).words());
  const DataMatrix<double> wide = x.cast<double>();
  CHECK(one.words() == pack(wide, gates, offsets, 1).words());

  const DataMatrix<float> rows = x.middleRows(101, 67);
  const DataMatrix<double> column = gates.col(11);
  const Patterns part = pack(rows, column, offsets.segment(11, 1));
  for (Index i = 0; i < rows.rows(); ++i) {
    CHECK(part.view().bit(i, 0) == one.view().bit(101 + i, 11));
  }
}

TEST_CASE("for_each_active visits the active samples in order") {
  const Patterns patterns = random_patterns(200, 3, 8);
  for (Index p = 0; p < 3; ++p) {
    std::vector<Index> visited, expected;
    patterns.view().for_each_active(p, [&](Index i) { visited.push_back(i); });
    for (Index i = 0; i < 200; ++i) {
      if (patterns.view().bit(i, p)) expected.push_back(i);
    }
    CHECK(visited == expected);
  }
}

TEST_CASE("unique_patterns drops duplicates and empty patterns, and keeps the first") {
  for (const Index n : {1, 63, 64, 65, 130}) {
    CAPTURE(n);
    // Columns: empty, a, b, a, empty, b, c, with c = b up to the last sample.
    Patterns patterns(n, 7);
    const auto put = [&](Index i, std::initializer_list<Index> where) {
      for (const Index p : where) patterns.activate(i, p);
    };
    put(0, {1, 3});
    if (n > 1) {
      put(1, {2, 5, 6});
      put(n - 1, {6});
    }
    const Patterns before = patterns;
    const std::vector<Index> kept = unique_patterns(patterns.words().data(), n, 7);
    CHECK(kept == (n > 1 ? std::vector<Index>{1, 2, 6} : std::vector<Index>{1}));
    const PatternView view{patterns.words().data(), n, static_cast<Index>(kept.size())};
    for (Index j = 0; j < view.n_patterns; ++j) {
      for (Index i = 0; i < n; ++i) CHECK(view.bit(i, j) == before.view().bit(i, kept[j]));
    }
  }
}

TEST_CASE("unique_patterns agrees with a comparison of all pairs") {
  // Two gates in the plane and few samples: many gates share a pattern.
  const auto x = random_data<double>(9, 2, 9);
  const auto gates = random_data<double>(2, 300, 10);
  Patterns patterns = pack(x, gates, Vector());
  const std::vector<Word> words = patterns.words();  // one word a pattern
  std::vector<Index> expected;
  for (Index p = 0; p < 300; ++p) {
    const bool seen = std::find(words.begin(), words.begin() + p, words[p]) != words.begin() + p;
    if (words[p] != 0 && !seen) expected.push_back(p);
  }
  const std::vector<Index> kept = unique_patterns(patterns.words().data(), 9, 300);
  CHECK(kept == expected);
  CHECK(kept.size() <= 18);  // lines through the origin cut the plane in at most 2 n cells
}

TEST_CASE("unique_patterns of empty patterns alone is empty") {
  Patterns patterns(70, 3);
  CHECK(unique_patterns(patterns.words().data(), 70, 3).empty());
}

}  // namespace
}  // namespace cvxnn
