// The softmax loss of several outputs, which does not separate over them.
#pragma once

#include "cvxnn/loss.hpp"

namespace cvxnn {

// Rows of y on the probability simplex.
std::unique_ptr<Loss> make_softmax(Matrix y, Vector omega);

}  // namespace cvxnn
