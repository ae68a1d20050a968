#include "cvxnn/symmetric_eigen.hpp"

#include <Eigen/Eigenvalues>

namespace cvxnn {

void symmetric_eigen(ConstMatrixRef S, Vector& values, Matrix& vectors) {
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(S);
  values = eigen.eigenvalues();
  vectors = eigen.eigenvectors();
}

}  // namespace cvxnn
