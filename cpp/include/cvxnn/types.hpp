// Every Eigen alias of the library. Nothing else spells out Eigen::Matrix<...>.
#pragma once

#include <Eigen/Core>
#include <cstdint>

namespace cvxnn {

using Index = Eigen::Index;  // signed 64-bit everywhere

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;  // column-major: one column an output, or one column a block

using MatrixF = Eigen::MatrixXf;  // of preconditioners, which need no more digits

using VectorRef = Eigen::Ref<Vector>;
using ConstVectorRef = const Eigen::Ref<const Vector>&;
using MatrixRef = Eigen::Ref<Matrix>;
using ConstMatrixRef = const Eigen::Ref<const Matrix>&;
using MatrixFRef = Eigen::Ref<MatrixF>;
using ConstMatrixFRef = const Eigen::Ref<const MatrixF>&;

using MatrixMap = Eigen::Map<Matrix>;
using ConstMatrixMap = Eigen::Map<const Matrix>;

// Data (n_samples x n_features) stays in the caller's memory, one sample a contiguous row: the
// table kernels read 64 samples at a time and slice each along the features.
template <class T>
using DataMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using DataMap = Eigen::Map<const DataMatrix<T>>;

template <class T>
DataMap<T> middle_rows(const DataMap<T>& x, Index first, Index count) {
  return DataMap<T>(x.data() + first * x.cols(), count, x.cols());
}

// A short, fixed number of lanes. Eigen maps it on whatever packets the CPU level has.
template <class T, int Lanes>
using Packet = Eigen::Array<T, Lanes, 1>;

}  // namespace cvxnn
