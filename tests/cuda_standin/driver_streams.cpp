// libcuda.so.1: streams, events, capture, graphs, and kernels.
#include "driver.h"
#include "modules.h"

using namespace standin;

extern "C" {

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
