// The number types of activations, and 16 bytes of them: what a thread reads, computes and writes at a time.
//
// Activations are channels last, so that 16 bytes are neighbouring channels of one pixel: 8 of float16 or bfloat16, 4 of float32. All
// sums and comparisons are float32. No kernel here uses shared memory or waits for another thread.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T>
struct alignas(16) Pack {
    static constexpr int LEN = 16 / sizeof(T);
    T values[LEN];
};

static __device__ inline float widen(float value) { return value; }
static __device__ inline float widen(__half value) { return __half2float(value); }
static __device__ inline float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename T>
static __device__ inline T narrow(float value);
template <>
__device__ inline float narrow<float>(float value) { return value; }
template <>
__device__ inline __half narrow<__half>(float value) { return __float2half_rn(value); }
template <>
__device__ inline __nv_bfloat16 narrow<__nv_bfloat16>(float value) { return __float2bfloat16_rn(value); }

// The thread's position among all.
static __device__ inline long long position() {
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// DEFINE(name, type) for each number type.
#define FOR_EACH_NUMBER(DEFINE) \
    DEFINE(f16, __half)         \
    DEFINE(bf16, __nv_bfloat16) \
    DEFINE(f32, float)
