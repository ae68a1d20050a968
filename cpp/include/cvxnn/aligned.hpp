// A growing buffer on cache-line boundaries: the kernels' tiles are loaded with aligned moves at
// every CPU level, and Eigen's own allocator promises only what its packets need.
#pragma once

#include <memory>
#include <new>

#include "cvxnn/types.hpp"

namespace cvxnn {

template <class T>
class AlignedBuffer {
 public:
  // At least `size` elements; contents are lost when it grows.
  T* reserve(Index size) {
    if (size > size_) {
      data_.reset();
      data_.reset(static_cast<T*>(::operator new(size * sizeof(T), kAlignment)));
      size_ = size;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_ = 0;
};

}  // namespace cvxnn
