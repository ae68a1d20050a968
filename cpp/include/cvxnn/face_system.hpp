// The Newton system of a function of blocks in cones, whose prox moves along the cones' faces.
#pragma once

#include <vector>

#include "cvxnn/cone_projection.hpp"
#include "cvxnn/conjugate_gradients.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"
#include "cvxnn/unpenalised.hpp"

namespace cvxnn {

// How the prox of a block moves that is not zero. With w the unit vector along the projection v, on
// its face with the orthonormal columns Q, the derivative is a multiple of
// Q (a^2 I + (1 - a^2) w w^T) Q^T, a^2 = 1 - 1 / ||v||: D D^T, D = scale Q (a I + (1 - a) w w^T).
struct Face {
  const ConeProjection* cone;
  Vector w;  // in the coordinates of the block
  double a, scale;

  Index size() const { return w.size(); }
  Index dimension() const { return size() - cone->across().cols(); }
  void apply(VectorRef g, Vector& room) const;  // g = D D^T g; room: as large at least
  Matrix root() const;                          // D
};

// I + sigma sum_j B_j D_j D_j^T B_j^T over the blocks that are not zero, B_j = P h^(1/2) A_j with P
// the projection that eliminates the unpenalised block.
class FaceSystem {
 public:
  // max_entries: of what a factored system is made from; larger ones are solved by conjugate
  // gradients.
  FaceSystem(const Operator& op, int n_threads, double max_entries)
      : op_(op), n_threads_(n_threads), max_entries_(max_entries) {}

  // Of another model, whose sigma may begin smaller.
  void start();

  // root: h^(1/2). free: orthonormal, spans what P eliminates. Nearly the solution for b: where
  // they need fewer operations, conjugate gradients that leave a tenth.
  Vector solve(const std::vector<Index>& blocks, const std::vector<Face>& faces, const Vector& root,
               const Matrix& free, double sigma, const Vector& b, Control& control);

 private:
  bool factoring_pays(const std::vector<Face>& faces) const;
  Vector by_factors(const std::vector<Index>& blocks, const std::vector<Face>& faces,
                    const Vector& root, const Matrix& free, double sigma, const Vector& b,
                    Control& control) const;
  Vector by_conjugate_gradients(const std::vector<Index>& blocks, const std::vector<Face>& faces,
                                const Vector& root, const Matrix& free, double sigma,
                                const Vector& b, Control& control);

  const Operator& op_;
  int n_threads_;
  double max_entries_;
  ConjugateGradients gradients_;
  Index n_iterations_ = 0;  // of the last ones
};

}  // namespace cvxnn
