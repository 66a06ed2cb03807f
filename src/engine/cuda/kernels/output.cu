// What leaves the network, float32: the mean of each channel, [images, channels]; or a feature map, its channels one after the other,
// [images, channels, height, width]. The input is [images, pixels] of channels, a stride of numbers apart.

#include "number.cuh"

// A thread takes 16 bytes of channels through all pixels of an image, in their order.
template <typename T>
static __device__ inline void global_average(
    const T* input, float* output, int images, int pixels, int stride, int channels) {
    constexpr int LEN = Pack<T>::LEN;
    const int packs = channels / LEN;
    const long long at = position();
    const int channel = static_cast<int>(at % packs) * LEN;
    const long long image = at / packs;
    if (image >= images) return;
    float sums[LEN] = {};
    const T* from = input + image * pixels * stride + channel;
#pragma unroll 4
    for (int pixel = 0; pixel < pixels; ++pixel) {
        const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(from + static_cast<long long>(pixel) * stride);
#pragma unroll
        for (int i = 0; i < LEN; ++i) sums[i] += widen(pack.values[i]);
    }
#pragma unroll
    for (int i = 0; i < LEN; ++i) {
        output[image * channels + channel + i] = sums[i] / static_cast<float>(pixels);
    }
}

// A thread takes one number; neighbouring threads write neighbours.
template <typename T>
static __device__ inline void planes(
    const T* input, float* output, int images, int pixels, int stride, int channels) {
    const long long at = position();
    const int pixel = static_cast<int>(at % pixels);
    const int channel = static_cast<int>(at / pixels % channels);
    const long long image = at / pixels / channels;
    if (image >= images) return;
    output[at] = widen(input[(image * pixels + pixel) * stride + channel]);
}

#define DEFINE_OUTPUT(KIND, NAME, T)                                                                          \
    extern "C" __global__ void KIND##_##NAME(                                                                 \
        const void* input, void* output, int images, int pixels, int stride, int channels) {                  \
        KIND(static_cast<const T*>(input), static_cast<float*>(output), images, pixels, stride, channels);    \
    }
#define DEFINE(NAME, T)                       \
    DEFINE_OUTPUT(global_average, NAME, T)    \
    DEFINE_OUTPUT(planes, NAME, T)

FOR_EACH_NUMBER(DEFINE)
