// Does the stand-in refuse what it says that it refuses? A check that nothing fails proves nothing. What ends the process is tried in a
// process of its own.
#include <cuda.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

namespace {

void expect(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "the stand-in: %s\n", what);
    std::exit(1);
}

void gives(CUresult result, CUresult expected, const char* what) { expect(result == expected, what); }
void works(CUresult result) { expect(result == CUDA_SUCCESS, "a call that is right is refused"); }

void ends(const std::function<void()>& wrong, const char* what) {
    pid_t child = fork();
    if (child == 0) {
        if (!std::freopen("/dev/null", "w", stderr)) std::exit(0);
        wrong();
        std::_Exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    expect(status != 0, what);
}

constexpr size_t BYTES = 400;
CUdeviceptr memory;
CUstream one, other;
float* pinned;
std::vector<float> host(100);

CUevent event() {
    CUevent event;
    works(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    return event;
}

// `after` waits for what is on `before`.
void join(CUstream after, CUstream before) {
    CUevent point = event();
    works(cuEventRecord(point, before));
    works(cuStreamWaitEvent(after, point, 0));
}

void addresses() {
    works(cuMemcpyDtoH(host.data(), memory, BYTES));
    expect(std::isnan(host[0]) && std::isnan(host[99]), "fresh memory is a number");
    ends([] { cuMemcpyDtoH(host.data(), memory + 8, BYTES); }, "a copy beyond an allocation is let through");
    ends([] { *reinterpret_cast<volatile char*>(memory) = 1; }, "an address on the card can be followed by the processor");
    ends([] { cuMemFree(memory), cuMemFree(memory); }, "memory can be freed twice");
    CUdeviceptr large;
    gives(cuMemAlloc(&large, size_t(3) << 30), CUDA_ERROR_OUT_OF_MEMORY, "more memory than there is can be had");
}

void order() {
    bool late = !std::getenv("HEADSTOCK_STANDIN_ORDER");
    works(cuMemsetD8Async(memory, 0, BYTES, one));
    works(cuMemcpyDtoHAsync(host.data(), memory, BYTES, other));
    expect(!late || std::isnan(host[0]), "nobody has to wait for another stream");
    join(other, one);
    works(cuMemcpyDtoHAsync(host.data(), memory, BYTES, other));
    expect(host[0] == 0, "a wait is not waited for");
    works(cuMemcpyDtoHAsync(pinned, memory, BYTES, one));
    expect(!late || std::isnan(pinned[0]), "pinned memory is there before anybody waited");
    works(cuStreamSynchronize(one));
    expect(pinned[0] == 0, "pinned memory is not there when somebody waited");
}

CUresult captured(const std::function<void()>& calls, CUgraph* graph) {
    works(cuStreamBeginCapture(one, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    calls();
    return cuStreamEndCapture(one, graph);
}

// A call that a capture does not survive.
void refused(CUresult error, const std::function<CUresult()>& call, const char* what) {
    CUgraph graph;
    CUresult end = captured([&] { gives(call(), error, what); }, &graph);
    gives(end, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, what);
}

void capture() {
    CUevent before = event();
    works(cuEventRecord(before, other));
    CUdeviceptr more;
    const CUresult NO = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    refused(NO, [&] { return cuMemAlloc(&more, 4); }, "memory can be had in a capture");
    refused(NO, [&] { return cuStreamSynchronize(one); }, "a capture can be waited for");
    refused(NO, [&] { return cuCtxSynchronize(); }, "all can be waited for in a capture");
    refused(NO, [&] { return cuMemcpyHtoDAsync(memory, host.data(), 4, one); }, "memory that moves can be copied in a capture");
    refused(NO, [&] { return cuEventQuery(before); }, "an event can be asked in a capture");
    refused(
        CUDA_ERROR_STREAM_CAPTURE_ISOLATION, [&] { return cuStreamWaitEvent(one, before, 0); },
        "a capture can wait for what is outside");

    CUgraph graph;
    CUresult end = captured([] { join(other, one), works(cuMemsetD8Async(memory, 1, 4, other)); }, &graph);
    gives(end, CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "a fork need not be joined");

    auto forked = [] {
        works(cuMemsetD8Async(memory, 0x11, BYTES, one));
        join(other, one);
        works(cuMemsetD8Async(memory, 0x22, BYTES / 2, other));
        works(cuMemsetD8Async(memory + BYTES / 2, 0x33, BYTES / 2, one));
        join(one, other);
        works(cuMemcpyDtoHAsync(pinned, memory, BYTES, one));
    };
    works(captured(forked, &graph));
    CUgraphExec executable;
    works(cuGraphInstantiateWithFlags(&executable, graph, 0));
    std::memset(pinned, 0, BYTES);
    works(cuGraphLaunch(executable, one));
    works(cuStreamSynchronize(one));
    auto bytes = reinterpret_cast<const unsigned char*>(pinned);
    expect(bytes[0] == 0x22 && bytes[BYTES - 1] == 0x33, "a graph does something else than what was captured");
}

}  // namespace

int main() {
    works(cuInit(0));
    gives(cuMemAlloc(&memory, BYTES), CUDA_ERROR_INVALID_CONTEXT, "memory can be had without a context");
    CUcontext context;
    works(cuDevicePrimaryCtxRetain(&context, 0));
    works(cuCtxSetCurrent(context));
    works(cuMemAlloc(&memory, BYTES));
    works(cuMemHostAlloc(reinterpret_cast<void**>(&pinned), BYTES, 0));
    works(cuStreamCreate(&one, CU_STREAM_NON_BLOCKING));
    works(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    addresses();
    order();
    capture();
}
