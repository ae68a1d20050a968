// Losses that are sums over samples and outputs.
#pragma once

#include <string>

#include "cvxnn/loss.hpp"

namespace cvxnn {

// name: squared, logistic, squared_hinge and hinge (y in {-1, +1}), huber; null for another. delta:
// where Huber turns linear.
std::unique_ptr<Loss> make_separable_loss(const std::string& name, Matrix y, Vector omega,
                                          double delta);

}  // namespace cvxnn
