// libcuda.so.1: errors, cards and contexts.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "driver.h"

namespace standin {

void watch_addresses();
namespace {

bool initialised = false;
thread_local CUcontext current_context = nullptr;

CUcontext primary(int device) {
    static auto& contexts = *new std::map<int, CUcontext>;
    CUcontext& context = contexts[device];
    if (!context) context = new CUctx_st{device, 0};
    return context;
}

bool is_device(CUdevice device) { return device >= 0 && device < cards(); }

}  // namespace

int cards() {
    const char* number = std::getenv("HEADSTOCK_STANDIN_CARDS");
    return number ? std::atoi(number) : 1;
}

CUcontext current() { return current_context; }

}  // namespace standin

using namespace standin;

extern "C" {

// --- errors

CUresult cuGetErrorName(CUresult error, const char** text) {
    switch (error) {
#define NAME(code) \
    case code: *text = #code; return CUDA_SUCCESS
        NAME(CUDA_SUCCESS);
        NAME(CUDA_ERROR_INVALID_VALUE);
        NAME(CUDA_ERROR_OUT_OF_MEMORY);
        NAME(CUDA_ERROR_NOT_INITIALIZED);
        NAME(CUDA_ERROR_NO_DEVICE);
        NAME(CUDA_ERROR_INVALID_DEVICE);
        NAME(CUDA_ERROR_INVALID_CONTEXT);
        NAME(CUDA_ERROR_INVALID_HANDLE);
        NAME(CUDA_ERROR_ILLEGAL_STATE);
        NAME(CUDA_ERROR_NOT_FOUND);
        NAME(CUDA_ERROR_NOT_READY);
        NAME(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        NAME(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        NAME(CUDA_ERROR_STREAM_CAPTURE_MERGE);
        NAME(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
        NAME(CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
        NAME(CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
        NAME(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
        NAME(CUDA_ERROR_CAPTURED_EVENT);
#undef NAME
        default: *text = "CUDA_ERROR_UNKNOWN"; return CUDA_SUCCESS;
    }
}

CUresult cuGetErrorString(CUresult error, const char** text) { return cuGetErrorName(error, text); }

// --- devices and contexts

CUresult cuInit(unsigned) {
    STANDIN_LOCKED;
    if (!initialised) watch_addresses();
    initialised = true;
    return cards() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int* version) { return *version = 13000, CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { return *count = cards(), initialised ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED; }

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    if (!is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
    return *device = ordinal, CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    std::snprintf(name, size_t(length), "stand-in");
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    std::memset(uuid->bytes, device, sizeof uuid->bytes);
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t* bytes, CUdevice) { return *bytes = memory_of_a_card(), CUDA_SUCCESS; }

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 4; break;
        case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: *value = 1; break;
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
        default: *value = 0;
    }
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    STANDIN_LOCKED;
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    *context = primary(device);
    (*context)->users++;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    STANDIN_LOCKED;
    if (primary(device)->users-- == 0) die("a context is released once too often");
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context) { return *context = current(), CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext context) { return current_context = context, CUDA_SUCCESS; }

CUresult cuCtxGetDevice(CUdevice* device) {
    NEEDS_A_CONTEXT;
    return *device = current()->device, CUDA_SUCCESS;
}

CUresult cuCtxSetFlags(unsigned) { return CUDA_SUCCESS; }

CUresult cuCtxSynchronize(void) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    finish_all(current()->device);
    return CUDA_SUCCESS;
}

}  // extern "C"
