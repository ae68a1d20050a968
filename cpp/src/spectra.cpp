#include "cvxnn/spectra.hpp"

#include "cvxnn/threads.hpp"

namespace cvxnn {

void BlockSpectra::prepare(const std::vector<Index>& blocks, ConstVectorRef h) {
  std::vector<Index> missing;
  for (const Index b : blocks) {
    if (spectra_.count(b) == 0) missing.push_back(b);
  }
  std::vector<BlockSpectrum> found(missing.size());
  parallel_for(static_cast<Index>(missing.size()), n_threads_, [&](Index j, int) {
    const Index size = op_.block_size(missing[j]);
    Matrix gram(size, size);
    op_.gram(missing[j], h, gram);
    found[j] = decompose(gram);
  });
  for (std::size_t j = 0; j < missing.size(); ++j) {
    spectra_.emplace(missing[j], std::move(found[j]));
  }
}

}  // namespace cvxnn
