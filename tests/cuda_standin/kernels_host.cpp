// Our own kernels, compiled for this processor: the same source that nvcc compiles for a card. KERNELS names a file of
// src/engine/cuda/kernels/, ENTRIES a list of `ENTRY(name)` for each kernel in it, which scripts/check_cuda_without_card.sh finds
// in the object file that comes out without it.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>

#include "modules.h"

#define threadIdx (standin::thread_index)
#define blockIdx (standin::block_index)
#define blockDim (standin::block_size)
#define gridDim (standin::grid_size)

using std::max;
using std::min;

template <class T>
T __ldg(const T* address) {
    return *address;
}

#include KERNELS

#ifdef ENTRIES
#define ENTRY(name) standin::kernel(#name, ::name),
static const bool known = (standin::add({
#include ENTRIES
                           }),
                           true);
#endif
