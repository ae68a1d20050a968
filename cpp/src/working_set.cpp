#include "cvxnn/working_set.hpp"

#include <unordered_map>

namespace cvxnn {

Index WorkingSet::n_active() const {
  Index count = 0;
  for (Index j = 0; j < size(); ++j) count += active(j);
  return count;
}

double WorkingSet::penalty(const Vector& values) const {
  double sum = 0.0;
  for (Index j = 0; j < size(); ++j) sum += penalty(values, j);
  return sum;
}

void WorkingSet::reset(const Operator& op, const std::vector<Index>& new_blocks,
                       ConstVectorRef weights, double alpha) {
  std::unordered_map<Index, Index> position;
  for (Index j = 0; j < size(); ++j) position.emplace(blocks[j], j);

  WorkingSet next;
  next.n_outputs = n_outputs;
  next.blocks = new_blocks;
  next.starts.push_back(0);
  for (const Index b : new_blocks) {
    next.starts.push_back(next.starts.back() + op.block_size(b) * n_outputs);
    next.penalties.push_back(op.penalty(alpha * weights[b]));
  }
  next.coefs = Vector::Zero(next.starts.back());
  for (Index j = 0; j < next.size(); ++j) {
    const auto found = position.find(new_blocks[j]);
    if (found != position.end()) next.block(next.coefs, j) = block(coefs, found->second);
  }
  *this = std::move(next);
}

}  // namespace cvxnn
