// A program with counting_new.cpp counts its allocations.
#pragma once

namespace cvxnn::testing {

long allocation_count();

}  // namespace cvxnn::testing
