// libcuda.so.1: memory, and copies.
#include <cstring>

#include "driver.h"

using namespace standin;

namespace {

// What a copy does when its turn comes: both ends are looked up then, as a card would.
CUresult copy(CUstream stream, const char* name, std::function<void()> run) { return enqueue(stream, {name, std::move(run)}); }

}  // namespace

extern "C" {

CUresult cuMemGetInfo(size_t* free, size_t* total) {
    NEEDS_A_CONTEXT;
    *free = free_memory(current()->device), *total = memory_of_a_card();
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr* address, size_t bytes) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    return allocate(current()->device, bytes, address);
}

CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream stream) {
    NEEDS_A_STREAM(stream);
    // The real one would make memory of the graph's own; nothing here wants that.
    if (is_capturing(stream)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return allocate(current()->device, bytes, address);
}

CUresult cuMemFree(CUdeviceptr address) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    finish_all(current()->device);
    if (address) release(address, current()->device);
    return CUDA_SUCCESS;
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    NEEDS_A_STREAM(stream);
    if (is_capturing(stream)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    int device = current()->device;
    return enqueue(stream, {"cuMemFreeAsync", [=] { release(address, device); }});
}

CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    return allocate_pinned(bytes, address);
}

CUresult cuMemFreeHost(void* address) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    finish_all(current()->device);
    release_pinned(address);
    return CUDA_SUCCESS;
}

// From memory of a page that may move: the bytes are taken at once, and a capture would have nothing to take them from later.
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    NEEDS_A_STREAM(stream);
    int device = current()->device;
    if (is_pinned(from))
        return copy(stream, "cuMemcpyHtoDAsync", [=] { std::memcpy(on_host(to, bytes, device, doing), from, bytes); });
    if (is_capturing(stream)) {
        stream->capture->lost = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    std::vector<char> taken(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    return copy(stream, "cuMemcpyHtoDAsync", [=] { std::memcpy(on_host(to, bytes, device, doing), taken.data(), bytes); });
}

// To memory of a page that may move: returns when the bytes are there.
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    NEEDS_A_STREAM(stream);
    int device = current()->device;
    bool waits = !is_pinned(to);
    if (waits && is_capturing(stream)) {
        stream->capture->lost = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    CUresult result = copy(stream, "cuMemcpyDtoHAsync", [=] { std::memcpy(to, on_host(from, bytes, device, doing), bytes); });
    if (waits) finish(stream);
    return result;
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    NEEDS_A_STREAM(stream);
    int device = current()->device;
    return copy(stream, "cuMemcpyDtoDAsync",
                [=] { std::memcpy(on_host(to, bytes, device, doing), on_host(from, bytes, device, doing), bytes); });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
    NEEDS_A_STREAM(stream);
    int device = current()->device;
    return copy(stream, "cuMemsetD8Async", [=] { std::memset(on_host(to, bytes, device, doing), value, bytes); });
}

// The copies that name no stream wait for none that was made without waiting for them, and those are all that there are here.
CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    std::memcpy(on_host(to, bytes, current()->device, "cuMemcpyHtoD"), from, bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    std::memcpy(to, on_host(from, bytes, current()->device, "cuMemcpyDtoH"), bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    int device = current()->device;
    std::memcpy(on_host(to, bytes, device, "cuMemcpyDtoD"), on_host(from, bytes, device, "cuMemcpyDtoD"), bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemsetD8(CUdeviceptr to, unsigned char value, size_t bytes) {
    NEEDS_A_CONTEXT;
    NEEDS_NO_CAPTURE;
    std::memset(on_host(to, bytes, current()->device, "cuMemsetD8"), value, bytes);
    return CUDA_SUCCESS;
}

}  // extern "C"
