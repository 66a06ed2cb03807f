// The way back through pools: a mean gives each pixel of its window the same share, a maximum all to the first of the largest, row by row,
// as PyTorch does. `adds` adds to the gradient by the input that is there.
//
// Everything is gathered, pixel of the input by pixel: a thread makes 16 bytes of one, from all windows that see it, in their order.

#include "number.cuh"

struct Geometry {
    int images, input_height, input_width, input_stride, by_input_stride, output_height, output_width, output_stride, channels;
    int kernel_height, kernel_width, stride, padding_height, padding_width;
};

// The first window along an axis that sees a pixel, and the one behind the last.
static __device__ inline int first_window(int at, int padding, int kernel, int stride) {
    const int before = at + padding - kernel + 1;
    return before <= 0 ? 0 : (before + stride - 1) / stride;
}
static __device__ inline int end_window(int at, int padding, int stride, int windows) {
    const int end = (at + padding) / stride + 1;
    return end < windows ? end : windows;
}

// Adds the gradient of a window to where it is largest.
template <typename T>
static __device__ inline void of_maximum(
    const T* input, const Pack<T>& gradient, const Geometry& of, long long image, int channel, int top, int left, int y,
    int x, float (&sums)[Pack<T>::LEN]) {
    constexpr int LEN = Pack<T>::LEN;
    float largest[LEN];
    bool here[LEN];
    bool is_first = true;
    for (int row = 0; row < of.kernel_height; ++row) {
        const int at_y = top + row;
        if (at_y < 0 || at_y >= of.input_height) continue;
        for (int column = 0; column < of.kernel_width; ++column) {
            const int at_x = left + column;
            if (at_x < 0 || at_x >= of.input_width) continue;
            const long long pixel = (image * of.input_height + at_y) * of.input_width + at_x;
            const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(input + pixel * of.input_stride + channel);
#pragma unroll
            for (int i = 0; i < LEN; ++i) {
                const float value = widen(pack.values[i]);
                if (is_first || value > largest[i]) {
                    largest[i] = value;
                    here[i] = at_y == y && at_x == x;
                }
            }
            is_first = false;
        }
    }
#pragma unroll
    for (int i = 0; i < LEN; ++i) sums[i] += here[i] ? widen(gradient.values[i]) : 0.0f;
}

// How many pixels of a window along an axis are inside.
static __device__ inline int inside(int begin, int kernel, int size) {
    const int first = begin < 0 ? 0 : begin;
    const int end = begin + kernel < size ? begin + kernel : size;
    return end - first;
}

template <bool MAXIMUM, typename T>
static __device__ inline void pool_gradient(
    const T* input, const T* by_output, T* by_input, const Geometry& of, bool counts_padding, bool adds) {
    constexpr int LEN = Pack<T>::LEN;
    const int packs = of.channels / LEN;
    long long at = position();
    const int channel = static_cast<int>(at % packs) * LEN;
    at /= packs;
    const int x = static_cast<int>(at % of.input_width);
    at /= of.input_width;
    const int y = static_cast<int>(at % of.input_height);
    const long long image = at / of.input_height;
    if (image >= of.images) return;

    float sums[LEN] = {};
    const int last_row = end_window(y, of.padding_height, of.stride, of.output_height);
    const int last_column = end_window(x, of.padding_width, of.stride, of.output_width);
    for (int row = first_window(y, of.padding_height, of.kernel_height, of.stride); row < last_row; ++row) {
        const int top = row * of.stride - of.padding_height;
        for (int column = first_window(x, of.padding_width, of.kernel_width, of.stride); column < last_column; ++column) {
            const int left = column * of.stride - of.padding_width;
            const long long pixel = (image * of.output_height + row) * of.output_width + column;
            const Pack<T> gradient = *reinterpret_cast<const Pack<T>*>(by_output + pixel * of.output_stride + channel);
            if (MAXIMUM) {
                of_maximum(input, gradient, of, image, channel, top, left, y, x, sums);
                continue;
            }
            const int taps = counts_padding ? of.kernel_height * of.kernel_width
                                            : inside(top, of.kernel_height, of.input_height) *
                                                  inside(left, of.kernel_width, of.input_width);
            const float share = 1.0f / static_cast<float>(taps);
#pragma unroll
            for (int i = 0; i < LEN; ++i) sums[i] += share * widen(gradient.values[i]);
        }
    }
    const long long pixel = (image * of.input_height + y) * of.input_width + x;
    Pack<T>* to = reinterpret_cast<Pack<T>*>(by_input + pixel * of.by_input_stride + channel);
    const Pack<T> there = adds ? *to : Pack<T>{};
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < LEN; ++i) result.values[i] = narrow<T>(adds ? widen(there.values[i]) + sums[i] : sums[i]);
    *to = result;
}

// Of the mean of each channel: `by_output` is [images, channels], float32.
template <typename T>
static __device__ inline void global_average_gradient(
    const float* by_output, T* by_input, int images, int pixels, int stride, int channels, bool adds) {
    constexpr int LEN = Pack<T>::LEN;
    const int packs = channels / LEN;
    const long long at = position();
    const int channel = static_cast<int>(at % packs) * LEN;
    const long long pixel = at / packs;
    const long long image = pixel / pixels;
    if (image >= images) return;
    Pack<T>* to = reinterpret_cast<Pack<T>*>(by_input + pixel * stride + channel);
    const Pack<T> there = adds ? *to : Pack<T>{};
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < LEN; ++i) {
        const float share = by_output[image * channels + channel + i] / static_cast<float>(pixels);
        result.values[i] = narrow<T>(adds ? widen(there.values[i]) + share : share);
    }
    *to = result;
}

#define DEFINE_POOL(KIND, MAXIMUM, NAME, T)                                                                       \
    extern "C" __global__ void KIND##_gradient_##NAME(                                                            \
        const void* input, const void* by_output, void* by_input, int images, int input_height, int input_width,  \
        int input_stride, int by_input_stride, int output_height, int output_width, int output_stride,            \
        int channels, int kernel_height, int kernel_width, int stride, int padding_height, int padding_width,     \
        int counts_padding, int adds) {                                                                           \
        const Geometry of = {images,        input_height, input_width,   input_stride, by_input_stride,           \
                             output_height, output_width, output_stride, channels,     kernel_height,             \
                             kernel_width,  stride,       padding_height, padding_width};                         \
        pool_gradient<MAXIMUM>(                                                                                   \
            static_cast<const T*>(input), static_cast<const T*>(by_output), static_cast<T*>(by_input), of,        \
            counts_padding != 0, adds != 0);                                                                      \
    }
#define DEFINE(NAME, T)                                                                                           \
    DEFINE_POOL(max_pool, true, NAME, T)                                                                          \
    DEFINE_POOL(average_pool, false, NAME, T)                                                                     \
    extern "C" __global__ void global_average_gradient_##NAME(                                                    \
        const void* by_output, void* by_input, int images, int pixels, int stride, int channels, int adds) {      \
        global_average_gradient(                                                                                  \
            static_cast<const float*>(by_output), static_cast<T*>(by_input), images, pixels, stride, channels,    \
            adds != 0);                                                                                           \
    }

FOR_EACH_NUMBER(DEFINE)
