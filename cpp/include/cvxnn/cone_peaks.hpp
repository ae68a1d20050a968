// The dual norm of ReLU neurons that feed several outputs, and the neurons that attain it.
#pragma once

#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// Points u of blocks, columns of norm one, from which to climb besides those of the search itself.
struct ConeStarts {
  std::vector<Index> blocks;
  Matrix directions;  // n_inputs x blocks.size(), also where there are none
};

// Local maxima of ||G_b^T u|| / weight_b over u in the cone of b with ||u|| <= 1, for G_b = A_b^T
// Theta as a matrix of as many rows as u has: the largest of each block.
struct ConePeaks {
  std::vector<Index> blocks;  // ascending, those with a peak above `least`
  Vector values;
  Matrix directions;  // in the cones, one a column
  // Over all blocks whose bound, the largest singular value, is above `least`: the largest peak,
  // and whether none can have been missed.
  double largest = 0.0;
  bool exact = true;
};

// Projected power iterations u <- Pi_K(G G^T u) / ||.||, which ascend: a convex function is at
// least its linearisation (Sahiner, Ergen, Pauly and Pilanci 2021). They start from plus and minus
// the leading left singular vector of G, which finds the maximum where u has two coordinates or G
// has rank one; if `thorough` also from the others and from a few random points, the same in each
// call. weights: of the first blocks of op, which are looked at; positive.
ConePeaks cone_peaks(const Operator& op, ConstVectorRef weights, ConstMatrixRef Theta, double least,
                     const ConeStarts& starts, bool thorough, int n_threads, Control& control);

}  // namespace cvxnn
