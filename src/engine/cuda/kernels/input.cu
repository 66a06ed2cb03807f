// Pixels to the network's input: [pixels, 3] bytes or floats, R G B, to [pixels, 8] or, of float32, [pixels, 4]. The channels past the
// third are zeros, and so are their weights: convolutions on tensor cores want 16 bytes of channels.
//
// value / divide - subtract, in float32, as image::Normalise says; then rounded to the number type.

#include "number.cuh"

template <typename From, typename T>
static __device__ inline void input(
    const From* pixels, Pack<T>* output, long long count, const float (&divide)[3], const float (&subtract)[3]) {
    const long long pixel = position();
    if (pixel >= count) return;
    Pack<T> result;
#pragma unroll
    for (int channel = 0; channel < Pack<T>::LEN; ++channel) {
        float value = 0.0f;
        if (channel < 3) {
            value = static_cast<float>(pixels[3 * pixel + channel]) / divide[channel] - subtract[channel];
        }
        result.values[channel] = narrow<T>(value);
    }
    output[pixel] = result;
}

#define DEFINE_FROM(FROM_NAME, FROM, NAME, T)                                                            \
    extern "C" __global__ void input_##FROM_NAME##_##NAME(                                               \
        const void* pixels, void* output, long long count, float divide_red, float divide_green,         \
        float divide_blue, float subtract_red, float subtract_green, float subtract_blue) {              \
        const float divide[3] = {divide_red, divide_green, divide_blue};                                 \
        const float subtract[3] = {subtract_red, subtract_green, subtract_blue};                         \
        input(                                                                                           \
            static_cast<const FROM*>(pixels), static_cast<Pack<T>*>(output), count, divide, subtract);   \
    }
#define DEFINE(NAME, T)                       \
    DEFINE_FROM(u8, unsigned char, NAME, T)   \
    DEFINE_FROM(f32, float, NAME, T)

FOR_EACH_NUMBER(DEFINE)
