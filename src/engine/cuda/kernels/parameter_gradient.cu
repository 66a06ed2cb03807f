// From the gradients by what was folded to those by parameters, float32, added to what is there. With scale = gamma / deviation,
//
//   y = scale (kernel x - mean) + beta
//
//   by kernel = scale by folded       by gamma = (sum of kernel by folded - mean by beta) / deviation
//
// Kernels are [out, taps, in]; the gradient by the folded one has `padded` channels for `in`.

#include "number.cuh"

// A thread takes one number of the kernel.
template <typename T>
static __device__ inline void add_kernel_gradient(
    const T* by_folded, const float* scales, float* gradient, int out, int taps, int in, int padded) {
    const long long at = position();
    const int channel = static_cast<int>(at % in);
    const long long tap = at / in;
    const long long row = tap / taps;
    if (row >= out) return;
    gradient[at] += scales[row] * widen(by_folded[tap * padded + channel]);
}

// A thread takes the products of a piece of a row: sums are [pieces, out].
template <typename T>
static __device__ inline void scale_gradient(
    const T* by_folded, const float* kernel, float* sums, int out, int taps, int in, int padded, int piece) {
    const long long at = position();
    const int row = static_cast<int>(at % out);
    const long long first = at / out * piece;
    const long long length = static_cast<long long>(taps) * in;
    if (first >= length) return;
    const long long end = first + piece < length ? first + piece : length;
    float sum = 0.0f;
    for (long long i = first; i < end; ++i) {
        const long long tap = row * static_cast<long long>(taps) + i / in;
        sum += kernel[row * length + i] * widen(by_folded[tap * padded + i % in]);
    }
    sums[at] = sum;
}

extern "C" __global__ void add_vector(const float* by, float* gradient, int count) {
    const long long at = position();
    if (at < count) gradient[at] += by[at];
}

extern "C" __global__ void add_gamma_gradient(
    const float* by_scale, const float* by_beta, const float* mean, const float* reciprocal, float* gradient, int count) {
    const long long at = position();
    if (at < count) gradient[at] += reciprocal[at] * (by_scale[at] - mean[at] * by_beta[at]);
}

#define DEFINE(NAME, T)                                                                                           \
    extern "C" __global__ void add_kernel_gradient_##NAME(                                                        \
        const void* by_folded, const void* scales, void* gradient, int out, int taps, int in, int padded) {       \
        add_kernel_gradient(                                                                                      \
            static_cast<const T*>(by_folded), static_cast<const float*>(scales), static_cast<float*>(gradient),   \
            out, taps, in, padded);                                                                               \
    }                                                                                                             \
    extern "C" __global__ void scale_gradient_##NAME(                                                             \
        const void* by_folded, const void* kernel, void* sums, int out, int taps, int in, int padded,             \
        int piece) {                                                                                              \
        scale_gradient(                                                                                           \
            static_cast<const T*>(by_folded), static_cast<const float*>(kernel), static_cast<float*>(sums), out,  \
            taps, in, padded, piece);                                                                             \
    }

FOR_EACH_NUMBER(DEFINE)
