// Numbers that come as float32 and are computed with as another type: `packs` times 16 bytes of that.

#include "number.cuh"

template <typename T>
static __device__ inline void narrowed(const float* input, Pack<T>* output, long long packs) {
    constexpr int LEN = Pack<T>::LEN;
    const long long at = position();
    if (at >= packs) return;
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < LEN; ++i) result.values[i] = narrow<T>(input[at * LEN + i]);
    output[at] = result;
}

#define DEFINE(NAME, T)                                                                           \
    extern "C" __global__ void narrow_##NAME(const void* input, void* output, long long packs) {  \
        narrowed(static_cast<const float*>(input), static_cast<Pack<T>*>(output), packs);         \
    }

FOR_EACH_NUMBER(DEFINE)
