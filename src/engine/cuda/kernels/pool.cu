// The largest value or the mean of a window, then bias and ReLU where they are asked for. A mean of windows of 1x1 is a copy: it takes
// what a convolution left packed to its channels of a concatenation.
//
// Input and output are [images, height, width] pixels of `channels` channels, a stride of numbers apart. A thread makes 16 bytes of one
// pixel of the output; neighbouring threads neighbouring channels, so that a warp reads and writes whole lines of memory.

#include "number.cuh"

struct Geometry {
    int images, input_height, input_width, input_stride, output_height, output_width, output_stride, channels;
    int kernel_height, kernel_width, stride, padding_height, padding_width;
};

template <bool MAXIMUM, typename T>
static __device__ inline void pool(
    const T* input, T* output, const float* bias, const Geometry& of, bool counts_padding, bool relu) {
    constexpr int LEN = Pack<T>::LEN;
    const int packs = of.channels / LEN;
    long long at = position();
    const int channel = static_cast<int>(at % packs) * LEN;
    at /= packs;
    const int x = static_cast<int>(at % of.output_width);
    at /= of.output_width;
    const int y = static_cast<int>(at % of.output_height);
    const long long image = at / of.output_height;
    if (image >= of.images) return;

    float values[LEN];
#pragma unroll
    for (int i = 0; i < LEN; ++i) values[i] = MAXIMUM ? -INFINITY : 0.0f;
    int inside = 0;
    for (int row = 0; row < of.kernel_height; ++row) {
        const int input_y = y * of.stride - of.padding_height + row;
        if (input_y < 0 || input_y >= of.input_height) continue;
        for (int column = 0; column < of.kernel_width; ++column) {
            const int input_x = x * of.stride - of.padding_width + column;
            if (input_x < 0 || input_x >= of.input_width) continue;
            const long long pixel = (image * of.input_height + input_y) * of.input_width + input_x;
            const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(input + pixel * of.input_stride + channel);
#pragma unroll
            for (int i = 0; i < LEN; ++i) {
                const float value = widen(pack.values[i]);
                values[i] = MAXIMUM ? fmaxf(values[i], value) : values[i] + value;
            }
            ++inside;
        }
    }
    const int taps = counts_padding ? of.kernel_height * of.kernel_width : inside;
    const float scale = MAXIMUM ? 1.0f : 1.0f / static_cast<float>(taps);
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < LEN; ++i) {
        float value = values[i] * scale;
        if (bias != nullptr) value += bias[channel + i];
        if (relu) value = fmaxf(value, 0.0f);
        result.values[i] = narrow<T>(value);
    }
    const long long pixel = (image * of.output_height + y) * of.output_width + x;
    *reinterpret_cast<Pack<T>*>(output + pixel * of.output_stride + channel) = result;
}

#define DEFINE_POOL(KIND, MAXIMUM, NAME, T)                                                                       \
    extern "C" __global__ void KIND##_##NAME(                                                                     \
        const void* input, void* output, const void* bias, int images, int input_height, int input_width,         \
        int input_stride, int output_height, int output_width, int output_stride, int channels,                   \
        int kernel_height, int kernel_width, int stride, int padding_height, int padding_width,                   \
        int counts_padding, int relu) {                                                                           \
        const Geometry of = {images,        input_height,  input_width, input_stride,   output_height,            \
                             output_width,  output_stride, channels,    kernel_height,  kernel_width,             \
                             stride,        padding_height, padding_width};                                       \
        pool<MAXIMUM>(                                                                                            \
            static_cast<const T*>(input), static_cast<T*>(output), static_cast<const float*>(bias), of,           \
            counts_padding != 0, relu != 0);                                                                      \
    }
#define DEFINE(NAME, T)                         \
    DEFINE_POOL(max_pool, true, NAME, T)        \
    DEFINE_POOL(average_pool, false, NAME, T)

FOR_EACH_NUMBER(DEFINE)
