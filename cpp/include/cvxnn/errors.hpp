// Errors that cross the binding: misuse is a ValueError, a broken computation an ArithmeticError.
#pragma once

#include <stdexcept>
#include <string>

namespace cvxnn {

struct InvalidArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct NumericalError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool ok, const std::string& message) {
  if (!ok) throw InvalidArgument(message);
}

}  // namespace cvxnn
