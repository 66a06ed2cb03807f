// Batch norm with given statistics folded into a convolution, from float32 parameters to what is computed with, before each step of
// training:
//
//   scale = gamma / deviation        shift = beta - mean scale        folded = kernel scale
//
// Kernels are [out, taps, in]; the folded one has `padded` channels for `in`, zeros behind them. `reciprocal` is 1 / deviation; no gamma
// is one.

#include "number.cuh"

// A thread makes 16 bytes of the folded kernel; the first of a row also what belongs to its channel.
template <typename T>
static __device__ inline void fold(
    const float* kernel, const float* gamma, const float* beta, const float* mean, const float* reciprocal,
    Pack<T>* folded, float* scales, float* shifts, int out, int taps, int in, int padded) {
    constexpr int LEN = Pack<T>::LEN;
    const int packs = padded / LEN;
    const long long at = position();
    const int channel = static_cast<int>(at % packs) * LEN;
    const long long tap = at / packs;
    const long long row = tap / taps;
    if (row >= out) return;
    const float scale = gamma == nullptr ? reciprocal[row] : gamma[row] * reciprocal[row];
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < LEN; ++i) {
        result.values[i] = narrow<T>(channel + i < in ? kernel[tap * in + channel + i] * scale : 0.0f);
    }
    folded[at] = result;
    if (channel == 0 && tap % taps == 0) {
        scales[row] = scale;
        shifts[row] = beta[row] - mean[row] * scale;
    }
}

#define DEFINE(NAME, T)                                                                                        \
    extern "C" __global__ void fold_##NAME(                                                                    \
        const void* kernel, const void* gamma, const void* beta, const void* mean, const void* reciprocal,     \
        void* folded, void* scales, void* shifts, int out, int taps, int in, int padded) {                     \
        fold(                                                                                                  \
            static_cast<const float*>(kernel), static_cast<const float*>(gamma), static_cast<const float*>(beta), \
            static_cast<const float*>(mean), static_cast<const float*>(reciprocal),                            \
            static_cast<Pack<T>*>(folded), static_cast<float*>(scales), static_cast<float*>(shifts), out, taps, \
            in, padded);                                                                                       \
    }

FOR_EACH_NUMBER(DEFINE)
