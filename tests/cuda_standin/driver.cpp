// libcuda.so.1: devices, contexts, and the driver's names for what memory.cpp, streams.cpp and modules.cpp do.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "modules.h"
#include "streams.h"

namespace standin {

void watch_addresses();
CUresult load(CUmodule* module, const void* image);
CUresult unload(CUmodule module);
CUresult function_called(CUfunction* function, CUmodule module, const char* name);
CUresult start(CUfunction function, Place grid, Place block, unsigned shared, CUstream stream, void** arguments);

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

// What a copy does when its turn comes: both ends are looked up then, as a card would.
CUresult copy(CUstream stream, const char* name, std::function<void()> run) { return enqueue(stream, {name, std::move(run)}); }

}  // namespace

int cards() {
    const char* number = std::getenv("HEADSTOCK_STANDIN_CARDS");
    return number ? std::atoi(number) : 1;
}

CUcontext current() { return current_context; }

}  // namespace standin

using namespace standin;

#define NEEDS_A_CONTEXT \
    STANDIN_LOCKED;     \
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT
// Work goes to a stream of the context that is current.
#define NEEDS_A_STREAM(stream)      \
    NEEDS_A_CONTEXT;                \
    stream = stream_called(stream); \
    if (stream->context != current()) return CUDA_ERROR_INVALID_CONTEXT
#define NEEDS_NO_CAPTURE \
    if (CUresult refused = refuse_during_capture()) return refused
#define REQUIRES(condition) \
    if (!(condition)) return CUDA_ERROR_INVALID_VALUE

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

// --- memory

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

// --- streams and events

CUresult cuStreamCreate(CUstream* stream, unsigned) {
    NEEDS_A_CONTEXT;
    return *stream = new_stream(current()), CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) { return *least = 0, *greatest = -5, CUDA_SUCCESS; }

CUresult cuStreamDestroy(CUstream stream) {
    NEEDS_A_CONTEXT;
    delete_stream(stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream) {
    NEEDS_A_CONTEXT;
    stream = stream_called(stream);
    if (stream->capture) {
        stream->capture->lost = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    NEEDS_NO_CAPTURE;
    finish(stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
    NEEDS_A_CONTEXT;
    return wait(stream_called(stream), event);
}

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    NEEDS_A_CONTEXT;
    return *event = new CUevent_st{current(), !(flags & CU_EVENT_DISABLE_TIMING)}, CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) {
    STANDIN_LOCKED;
    delete event;
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    NEEDS_A_CONTEXT;
    return record(event, stream_called(stream));
}

CUresult cuEventQuery(CUevent event) {
    STANDIN_LOCKED;
    return query(event);
}

CUresult cuEventSynchronize(CUevent event) {
    STANDIN_LOCKED;
    return synchronize(event);
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
    STANDIN_LOCKED;
    return elapsed(milliseconds, start, end);
}

// --- capture and graphs

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    NEEDS_A_CONTEXT;
    // The context's own stream may not be captured under its old name.
    if (reinterpret_cast<uintptr_t>(stream) <= 1) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return begin_capture(stream_called(stream), mode);
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
    NEEDS_A_CONTEXT;
    return end_capture(stream_called(stream), graph);
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
    NEEDS_A_CONTEXT;
    return *status = capture_status(stream_called(stream)), CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
    NEEDS_A_CONTEXT;
    REQUIRES(flags == 0 || flags == CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
    auto copy = new std::shared_ptr<Graph>(std::make_shared<Graph>(*reinterpret_cast<Graph*>(graph)));
    *executable = reinterpret_cast<CUgraphExec>(copy);
    return CUDA_SUCCESS;
}

CUresult cuGraphUpload(CUgraphExec, CUstream) { return CUDA_SUCCESS; }

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    NEEDS_A_STREAM(stream);
    return launch(*reinterpret_cast<std::shared_ptr<Graph>*>(executable), stream);
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
    STANDIN_LOCKED;
    delete reinterpret_cast<std::shared_ptr<Graph>*>(executable);
    return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph) {
    STANDIN_LOCKED;
    delete reinterpret_cast<Graph*>(graph);
    return CUDA_SUCCESS;
}

// --- modules and kernels

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    NEEDS_A_CONTEXT;
    return load(module, image);
}

CUresult cuModuleUnload(CUmodule module) {
    NEEDS_A_CONTEXT;
    return unload(module);
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    NEEDS_A_CONTEXT;
    return function_called(function, module, name);
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void** arguments, void** extra) {
    NEEDS_A_STREAM(stream);
    REQUIRES(!extra);
    return start(function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared, stream, arguments);
}

}  // extern "C"
