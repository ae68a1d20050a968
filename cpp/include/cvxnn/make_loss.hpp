// Losses by name.
#pragma once

#include <string>

#include "cvxnn/loss.hpp"

namespace cvxnn {

// name: softmax or one of separable_loss.hpp.
std::unique_ptr<Loss> make_loss(const std::string& name, Matrix y, Vector omega, double delta);

}  // namespace cvxnn
