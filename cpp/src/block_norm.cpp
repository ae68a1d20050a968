#include "cvxnn/block_norm.hpp"

#include <Eigen/SVD>
#include <algorithm>

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
  double value(ConstMatrixRef W) const override {
    if (W.isZero(0.0)) return 0.0;
    return W.cols() == 1 ? W.norm() : singular_values(W).sum();
  }
  double dual(ConstMatrixRef G) const override {
    if (G.isZero(0.0)) return 0.0;
    return G.cols() == 1 ? G.norm() : singular_values(G)[0];
  }
  void shrink(double cut, MatrixRef W) const override {
    if (W.norm() <= cut) {
      W.setZero();
      return;
    }
    const Eigen::JacobiSVD<Matrix> svd(W, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const Vector shrunk = (svd.singularValues().array() - cut).cwiseMax(0.0);
    const Index rank = (shrunk.array() > 0.0).count();  // they descend
    W.noalias() = svd.matrixU().leftCols(rank) * shrunk.head(rank).asDiagonal() *
                  svd.matrixV().leftCols(rank).transpose();
  }

 private:
  static Vector singular_values(ConstMatrixRef W) {
    return Eigen::JacobiSVD<Matrix>(W).singularValues();
  }
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

}  // namespace

const BlockNorm& block_norm(const std::string& name) {
  static const FrobeniusNorm frobenius;
  static const NuclearNorm nuclear;
  static const ColumnNorm columns;
  if (name == "frobenius") return frobenius;
  if (name == "nuclear") return nuclear;
  if (name == "columns") return columns;
  throw InvalidArgument("unknown norm '" + name + "'");
}

}  // namespace cvxnn
