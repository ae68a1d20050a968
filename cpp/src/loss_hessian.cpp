#include "cvxnn/loss_hessian.hpp"

namespace cvxnn {

void LossHessian::apply(MatrixRef D) const {
  if (vectors.size() == 0) {
    D.array() *= diagonal.array();
    return;
  }
  for (Index i = 0; i < D.rows(); ++i) {
    const double along = vectors.row(i).dot(D.row(i));
    D.row(i) = D.row(i).cwiseProduct(diagonal.row(i)) - along * vectors.row(i);
  }
}

Matrix LossHessian::main_diagonal() const {
  if (vectors.size() == 0) return diagonal;
  return (diagonal - vectors.cwiseAbs2()).cwiseMax(0.0);
}

}  // namespace cvxnn
