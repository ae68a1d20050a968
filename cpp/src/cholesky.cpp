#include "cvxnn/cholesky.hpp"

#include <Eigen/Cholesky>
#include <algorithm>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr Index kPanel = 192;
constexpr Index kTile = 384;

template <class M>
void add_product(typename M::Scalar factor, const Eigen::Ref<const M>& L, int n_threads,
                 Eigen::Ref<M> S) {
  const Index n = S.rows();
  if (L.cols() == 0 || n == 0) return;
  n_threads = worthwhile_threads(0.5 * static_cast<double>(n * n * L.cols()), n_threads);
  const Index n_tiles = (n + kTile - 1) / kTile;
  // Task t is a tile (row, column) of the lower triangle, counted row by row.
  parallel_for(n_tiles * (n_tiles + 1) / 2, n_threads, [&](Index task, int) {
    Index row = 0;
    while ((row + 1) * (row + 2) / 2 <= task) ++row;
    const Index column = task - row * (row + 1) / 2;
    const Index i = row * kTile, j = column * kTile;
    const Index height = std::min(kTile, n - i), width = std::min(kTile, n - j);
    auto tile = S.block(i, j, height, width);
    if (row == column) {
      tile.template selfadjointView<Eigen::Lower>().rankUpdate(L.middleRows(i, height), factor);
    } else {
      tile.noalias() += factor * L.middleRows(i, height) * L.middleRows(j, width).transpose();
    }
  });
}

template <class M>
bool factor(Eigen::Ref<M> S, int n_threads, Control& control) {
  const Index n = S.rows();
  for (Index k = 0; k < n; k += kPanel) {
    const Index width = std::min(kPanel, n - k), below = n - k - width;
    auto corner = S.block(k, k, width, width);
    const Eigen::LLT<Eigen::Ref<M>> llt(corner);
    if (llt.info() != Eigen::Success) return false;
    if (below == 0) return true;
    const double work = static_cast<double>(width * width) * below;
    const Index n_strips = (below + kTile - 1) / kTile;
    parallel_for(n_strips, worthwhile_threads(work, n_threads), [&](Index strip, int) {
      const Index first = strip * kTile;
      auto rows = S.block(k + width + first, k, std::min(kTile, below - first), width);
      corner.template triangularView<Eigen::Lower>()
          .transpose()
          .template solveInPlace<Eigen::OnTheRight>(rows);
    });
    add_product<M>(-1, S.block(k + width, k, below, width), n_threads,
                   S.bottomRightCorner(below, below));
    control.poll();
  }
  return true;
}

}  // namespace

void add_lower_product(double factor, ConstMatrixRef L, int n_threads, MatrixRef S) {
  add_product<Matrix>(factor, L, n_threads, S);
}
void add_lower_product(float factor, ConstMatrixFRef L, int n_threads, MatrixFRef S) {
  add_product<MatrixF>(factor, L, n_threads, S);
}

bool factor_in_place(MatrixRef S, int n_threads, Control& control) {
  return factor<Matrix>(S, n_threads, control);
}
bool factor_in_place(MatrixFRef S, int n_threads, Control& control) {
  return factor<MatrixF>(S, n_threads, control);
}

bool factor_in_place(MatrixRef S) {
  Control control;
  return factor<Matrix>(S, 1, control);
}

void solve_factored(ConstMatrixRef S, MatrixRef B) {
  const auto L = S.triangularView<Eigen::Lower>();
  if (B.cols() == 1) {  // not a vector to Eigen, nor as fast
    auto b = B.col(0);
    L.solveInPlace(b);
    L.transpose().solveInPlace(b);
    return;
  }
  L.solveInPlace(B);
  L.transpose().solveInPlace(B);
}

}  // namespace cvxnn
