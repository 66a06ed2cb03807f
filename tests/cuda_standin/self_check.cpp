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

#include "convolution.h"

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

// Channels last, with so many numbers from one pixel to the next.
standin::Tensor map(int64_t images, int64_t channels, int64_t height, int64_t width, int64_t stride) {
    return {0, CUDNN_DATA_FLOAT, 16, {images, channels, height, width}, {height * width * stride, 1, width * stride, stride}, false};
}

// Whole numbers without a pattern: sums of their products are exact, in whatever order.
std::vector<float> whole_numbers(const standin::Tensor& tensor, unsigned seed) {
    std::vector<float> numbers(tensor.extent() / 4);
    for (float& number : numbers) number = float((seed = seed * 1664525 + 1013904223) >> 28) - 7;
    return numbers;
}

// Each product of the sum that a convolution is, by the definition: which numbers of x, w and y it joins.
void each_product(const standin::Convolution& c, const std::function<void(size_t, size_t, size_t)>& product) {
    auto index = [](const standin::Tensor& t, int64_t i, int64_t j, int64_t k, int64_t l) {
        return size_t(i * t.strides[0] + j * t.strides[1] + k * t.strides[2] + l * t.strides[3]);
    };
    for (int64_t image = 0; image < c.y.sizes[0]; image++)
        for (int64_t out = 0; out < c.y.sizes[1]; out++)
            for (int64_t row = 0; row < c.y.sizes[2]; row++)
                for (int64_t column = 0; column < c.y.sizes[3]; column++)
                    for (int64_t in = 0; in < c.x.sizes[1]; in++)
                        for (int64_t i = 0; i < c.w.sizes[2]; i++)
                            for (int64_t j = 0; j < c.w.sizes[3]; j++) {
                                int64_t y = row * c.stride[0] - c.pad[0] + i, x = column * c.stride[1] - c.pad[1] + j;
                                if (y < 0 || x < 0 || y >= c.x.sizes[2] || x >= c.x.sizes[3]) continue;
                                product(index(c.x, image, in, y, x), index(c.w, out, in, i, j), index(c.y, image, out, row, column));
                            }
}

void gradients() {
    using standin::Direction;
    struct Case {
        int64_t kernel[2], stride, pad[2], size[2];
    };
    for (auto [kernel, stride, pad, size] : {Case{{1, 1}, 1, {0, 0}, {5, 4}}, Case{{3, 3}, 1, {1, 1}, {4, 5}},
                                             Case{{1, 7}, 1, {0, 3}, {3, 6}}, Case{{3, 3}, 2, {0, 0}, {8, 7}}})
        for (Direction direction : {Direction::FORWARD, Direction::DATA_GRADIENT, Direction::FILTER_GRADIENT})
            for (bool adds : {false, true}) {
                int64_t rows = (size[0] + 2 * pad[0] - kernel[0]) / stride + 1, columns = (size[1] + 2 * pad[1] - kernel[1]) / stride + 1;
                standin::Convolution c{direction,
                                       map(3, 4, size[0], size[1], 12),
                                       map(8, 4, kernel[0], kernel[1], 4),
                                       map(3, 8, rows, columns, 20)};
                for (int axis : {0, 1}) c.pad[axis] = c.pad_behind[axis] = pad[axis], c.stride[axis] = stride, c.dilation[axis] = 1;
                c.flipped = false, c.alpha = 1, c.beta = adds ? 1 : 0;
                auto x = whole_numbers(c.x, 1), w = whole_numbers(c.w, 2), y = whole_numbers(c.y, 3);
                auto &written = direction == Direction::FORWARD ? y : direction == Direction::DATA_GRADIENT ? x : w, expected = written;
                std::vector<float> sums(written.size(), 0);
                std::vector<bool> is_written(written.size(), false);
                each_product(c, [&](size_t in, size_t of, size_t out) {
                    size_t to = direction == Direction::FORWARD ? out : direction == Direction::DATA_GRADIENT ? in : of;
                    is_written[to] = true;
                    sums[to] += direction == Direction::FORWARD ? x[in] * w[of] : direction == Direction::DATA_GRADIENT ? w[of] * y[out] : x[in] * y[out];
                });
                for (size_t i = 0; i < sums.size(); i++)
                    if (is_written[i]) expected[i] = sums[i] + (adds ? written[i] : 0);
                auto bytes = [](std::vector<float>& numbers) { return reinterpret_cast<char*>(numbers.data()); };
                standin::compute(c, {standin::Rounding::NONE, false, 0}, {bytes(x), bytes(w), nullptr, bytes(y), bytes(x), bytes(w)});
                // A stride leaves out the last pixels: nothing reads them, and their gradient is zero.
                bool right = true;
                for (size_t i = 0; i < sums.size(); i++) right &= written[i] == expected[i] || (!is_written[i] && written[i] == 0);
                expect(right, "a convolution or one of its gradients is not the sum that it should be");
            }
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
    gradients();
}
