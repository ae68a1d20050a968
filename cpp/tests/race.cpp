// A sum that threads race for.
#include "cvxnn/threads.hpp"

int main() {
  cvxnn::Index sum = 0;
  cvxnn::parallel_for(1000, 4, [&](cvxnn::Index task, int) { sum += task; });
  return sum > 0 ? 0 : 1;
}
