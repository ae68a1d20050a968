#include "cvxnn/block_norm.hpp"

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/errors.hpp"

namespace cvxnn {
namespace {

class FrobeniusNorm final : public BlockNorm {
 public:
  double value(ConstMatrixRef W) const override { return W.norm(); }
  double dual(ConstMatrixRef G) const override { return G.norm(); }
  void shrink(double cut, MatrixRef W) const override {
    const double norm = W.norm();
    W *= norm > cut ? 1.0 - cut / norm : 0.0;
  }
  bool frobenius() const override { return true; }
};

class NuclearNorm final : public BlockNorm {
 public:
  explicit NuclearNorm(Index rows) : rows_(rows) {
    require(rows >= 0, "rows of a block must not be negative, got " + std::to_string(rows));
  }

  double value(ConstMatrixRef W) const override {
    if (W.isZero(0.0)) return 0.0;
    const auto folded = fold(W);
    return folded.cols() == 1 ? W.norm() : singular_values(folded).sum();
  }
  double dual(ConstMatrixRef G) const override {
    if (G.isZero(0.0)) return 0.0;
    const auto folded = fold(G);
    return folded.cols() == 1 ? G.norm() : singular_values(folded)[0];
  }
  void shrink(double cut, MatrixRef W) const override {
    if (W.norm() <= cut) {
      W.setZero();
      return;
    }
    const auto folded = fold(W);
    const Eigen::JacobiSVD<Matrix> svd(folded, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const Vector shrunk = (svd.singularValues().array() - cut).cwiseMax(0.0);
    const Index rank = (shrunk.array() > 0.0).count();  // they descend
    Eigen::Map<Matrix>(W.data(), folded.rows(), folded.cols()).noalias() =
        svd.matrixU().leftCols(rank) * shrunk.head(rank).asDiagonal() *
        svd.matrixV().leftCols(rank).transpose();
  }

 private:
  Eigen::Map<const Matrix> fold(ConstMatrixRef W) const {
    const Index rows = rows_ > 0 ? rows_ : W.rows();
    require(W.size() % rows == 0 && (W.cols() == 1 || W.outerStride() == W.rows()),
            "a block cannot be folded into " + std::to_string(rows) + " rows");
    return Eigen::Map<const Matrix>(W.data(), rows, W.size() / rows);
  }
  static Vector singular_values(ConstMatrixRef W) {
    return Eigen::JacobiSVD<Matrix>(W).singularValues();
  }

  Index rows_;
};

class ColumnNorm final : public BlockNorm {
 public:
  double value(ConstMatrixRef W) const override { return W.colwise().norm().sum(); }
  double dual(ConstMatrixRef G) const override { return G.colwise().norm().maxCoeff(); }
  void shrink(double cut, MatrixRef W) const override {
    for (Index k = 0; k < W.cols(); ++k) {
      const double norm = W.col(k).norm();
      W.col(k) *= norm > cut ? 1.0 - cut / norm : 0.0;
    }
  }
};

class SparseGroupNorm final : public BlockNorm {
 public:
  explicit SparseGroupNorm(double l1_ratio) : l1_(l1_ratio), group_(1.0 - l1_ratio) {
    require(l1_ratio >= 0.0 && l1_ratio < 1.0,
            "l1_ratio must be in [0, 1), got " + std::to_string(l1_ratio));
  }

  double value(ConstMatrixRef W) const override {
    return group_ * W.norm() + l1_ * W.cwiseAbs().sum();
  }

  // The epsilon-norm (Ndiaye, Fercoq, Gramfort and Salmon 2016, sec. 4): the root nu of
  // ||(|G| - l1 nu)_+|| - group nu, which is convex and falls with a slope of at least one. Newton
  // steps from below climb to it, without the sorted copy of G that a closed form takes.
  double dual(ConstMatrixRef G) const override {
    const double norm = G.norm();
    if (norm == 0.0) return 0.0;
    double nu = std::max(norm * (norm / value(G)), G.cwiseAbs().maxCoeff());  // <G, G / value(G)>
    for (;;) {
      const auto excess = (G.array().abs() - l1_ * nu).max(0.0);
      const double length = std::sqrt(excess.square().sum());
      const double slope = l1_ * (excess.sum() / length) + group_;
      const double next = nu + (length - group_ * nu) / slope;
      if (!(next > nu * (1.0 + kRounding))) return nu;
      nu = next;
    }
  }

  void shrink(double cut, MatrixRef W) const override {
    const double least = l1_ * cut;
    W -= W.cwiseMin(least).cwiseMax(-least);
    const double norm = W.norm();
    W *= norm > group_ * cut ? 1.0 - group_ * cut / norm : 0.0;
  }

 private:
  static constexpr double kRounding = 4.0 * std::numeric_limits<double>::epsilon();

  double l1_, group_;
};

}  // namespace

std::shared_ptr<const BlockNorm> block_norm(const std::string& name, double l1_ratio, Index rows) {
  if (name == "frobenius") return std::make_shared<FrobeniusNorm>();
  if (name == "nuclear") return std::make_shared<NuclearNorm>(rows);
  if (name == "columns") return std::make_shared<ColumnNorm>();
  if (name == "sparse_group") return std::make_shared<SparseGroupNorm>(l1_ratio);
  throw InvalidArgument("unknown norm '" + name + "'");
}

}  // namespace cvxnn
