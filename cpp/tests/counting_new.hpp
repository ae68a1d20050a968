// A program with counting_new.cpp counts its allocations by operator new.
#pragma once

namespace cvxnn::testing {

long allocation_count();

}  // namespace cvxnn::testing
