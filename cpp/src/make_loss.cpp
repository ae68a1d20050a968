#include "cvxnn/make_loss.hpp"

#include "cvxnn/errors.hpp"
#include "cvxnn/separable_loss.hpp"
#include "cvxnn/softmax.hpp"

namespace cvxnn {

std::unique_ptr<Loss> make_loss(const std::string& name, Matrix y, Vector omega, double delta) {
  if (name == "softmax") return make_softmax(std::move(y), std::move(omega));
  auto loss = make_separable_loss(name, std::move(y), std::move(omega), delta);
  if (loss == nullptr) throw InvalidArgument("unknown loss '" + name + "'");
  return loss;
}

}  // namespace cvxnn
