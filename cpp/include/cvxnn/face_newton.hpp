// Newton's method on known faces of cones: the last digits of a program in cones.
#pragma once

#include <vector>

#include "cvxnn/types.hpp"

namespace cvxnn {

// A block y = basis z of norm ||z||: basis has orthonormal columns that span a face of its cone.
struct Face {
  Index first;   // of the block in the coefficients
  Matrix basis;  // n_features x dimension of the face
};

// Lowers 1/2 ||tau - B y||^2 + sum_j ||y_j|| over the faces, from y in them. Steps stop short of
// where a block vanishes or the objective rises. Coefficients outside of the faces become zero.
// Nothing where the faces have more dimensions than `most`.
void minimise_on_faces(const Matrix& B, const Vector& tau, const std::vector<Face>& faces,
                       Index most, Vector& y);

}  // namespace cvxnn
