// A packed map to its channels of a buffer: in place of what is there, or added to it.

#include "number.cuh"

// A thread takes 16 bytes of channels of one pixel.
template <typename T>
static __device__ inline void accumulate(
    const Pack<T>* input, T* output, long long pixels, int channels, int output_stride, bool adds) {
    constexpr int LEN = Pack<T>::LEN;
    const int packs = channels / LEN;
    const long long at = position();
    const int channel = static_cast<int>(at % packs) * LEN;
    const long long pixel = at / packs;
    if (pixel >= pixels) return;
    Pack<T>* to = reinterpret_cast<Pack<T>*>(output + pixel * output_stride + channel);
    Pack<T> result = input[at];
    if (adds) {
        const Pack<T> there = *to;
#pragma unroll
        for (int i = 0; i < LEN; ++i) {
            result.values[i] = narrow<T>(widen(there.values[i]) + widen(result.values[i]));
        }
    }
    *to = result;
}

#define DEFINE(NAME, T)                                                                                        \
    extern "C" __global__ void accumulate_##NAME(                                                              \
        const void* input, void* output, long long pixels, int channels, int output_stride, int adds) {        \
        accumulate(                                                                                            \
            static_cast<const Pack<T>*>(input), static_cast<T*>(output), pixels, channels, output_stride,      \
            adds != 0);                                                                                        \
    }

FOR_EACH_NUMBER(DEFINE)
