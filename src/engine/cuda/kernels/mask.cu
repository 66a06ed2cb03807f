// The way back through a ReLU: a gradient where the output is positive, zero elsewhere, packed; and its sums over pieces of pixels, which
// sums.cu brings together. The output and its gradient are `pixels` of `channels` channels, a stride of numbers apart.

#include "number.cuh"

// A thread takes 16 bytes of channels through the pixels of a piece, in their order. No sums are written where none are wanted.
template <typename T>
static __device__ inline void mask(
    const T* output, const T* by_output, T* masked, float* sums, long long pixels, int piece, int output_stride,
    int gradient_stride, int channels) {
    constexpr int LEN = Pack<T>::LEN;
    const int packs = channels / LEN;
    const long long at = position();
    const int channel = static_cast<int>(at % packs) * LEN;
    const long long row = at / packs;
    const long long first = row * piece;
    if (first >= pixels) return;
    const long long end = first + piece < pixels ? first + piece : pixels;
    float totals[LEN] = {};
#pragma unroll 4
    for (long long pixel = first; pixel < end; ++pixel) {
        const Pack<T> of = *reinterpret_cast<const Pack<T>*>(output + pixel * output_stride + channel);
        Pack<T> gradient = *reinterpret_cast<const Pack<T>*>(by_output + pixel * gradient_stride + channel);
#pragma unroll
        for (int i = 0; i < LEN; ++i) {
            const float value = widen(of.values[i]) > 0.0f ? widen(gradient.values[i]) : 0.0f;
            gradient.values[i] = narrow<T>(value);
            totals[i] += value;
        }
        *reinterpret_cast<Pack<T>*>(masked + pixel * channels + channel) = gradient;
    }
    if (sums == nullptr) return;
#pragma unroll
    for (int i = 0; i < LEN; ++i) sums[row * channels + channel + i] = totals[i];
}

#define DEFINE(NAME, T)                                                                                           \
    extern "C" __global__ void mask_##NAME(                                                                       \
        const void* output, const void* by_output, void* masked, void* sums, long long pixels, int piece,         \
        int output_stride, int gradient_stride, int channels) {                                                   \
        mask(                                                                                                     \
            static_cast<const T*>(output), static_cast<const T*>(by_output), static_cast<T*>(masked),             \
            static_cast<float*>(sums), pixels, piece, output_stride, gradient_stride, channels);                  \
    }

FOR_EACH_NUMBER(DEFINE)
