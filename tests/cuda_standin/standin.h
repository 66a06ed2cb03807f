// A stand-in for an NVIDIA card: the functions of libcuda, libcudnn, libcublas and libcurand that headstock's CUDA build calls,
// computed on the processor, and strict where the real ones are strict.
//
//   headstock, built with the feature cuda, as it is
//        │ dlopen                                                                        scripts/check_cuda_without_card.sh
//        ├─▶ libcuda.so.1    driver_*.cpp ─▶ memory.cpp     each allocation between pages that nobody may touch
//        │                                ─▶ streams.cpp    streams, events, capture, graphs: work in an order of its own
//        │                                ─▶ modules.cpp ─▶ kernels_host.cpp: src/engine/cuda/kernels/*.cu for this processor
//        │                                                ─▶ kernels_candle.cpp: a copy, which is candle's
//        ├─▶ libcudnn.so.9   descriptors.cpp ─▶ operation_graph.cpp ─▶ engines.cpp ─▶ convolution.cpp
//        ╰─▶ libcublas.so.13, libcublasLt.so.13, libcurand.so.10     blas_rand.cpp: what candle asks for when it opens a device
//
// It proves addresses, strides, tails, order, capture, errors, what is kept on disk, and the arithmetic of our own kernels. It
// proves nothing about NVIDIA's code: not which operation graphs a given cuDNN takes, not its numbers, and nothing about speed.
//
// Environment, all optional:
//   HEADSTOCK_STANDIN_CARDS    how many cards there are (1)
//   HEADSTOCK_STANDIN_MEMORY   bytes of memory of each (2 GiB)
//   HEADSTOCK_STANDIN_ORDER    late (default): work is done when somebody waits for it, and of the nodes of a graph that may run, the
//                              last goes first; early: at once, in the order of the calls. Right code gives the same bits in both
//   HEADSTOCK_STANDIN_CUDNN    packed: no convolution writes a tensor with gaps; plain: nothing can be joined to a convolution; cores: only
//                              engines with tensor cores join anything to one; nothing: no engine makes a plan
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

struct CUctx_st {
    int device;
    int users;
};

namespace standin {

// What no right program does: says so and ends the process.
[[noreturn]] void die(const char* format, ...) __attribute__((format(printf, 1, 2)));

bool late();
int cards();
size_t memory_of_a_card();

// One lock for all that is here, taken by each function that a program calls.
std::recursive_mutex& lock();
#define STANDIN_LOCKED std::lock_guard<std::recursive_mutex> standin_locked(standin::lock())

// The context that this thread has made current; null where there is none.
CUcontext current();

// --- memory.cpp

// Addresses on a card are not addresses of this process: whoever follows one without asking `on_host` is stopped by the
// processor.
constexpr CUdeviceptr ON_CARD = CUdeviceptr(1) << 60;

CUresult allocate(int device, size_t bytes, CUdeviceptr* address);
void release(CUdeviceptr address, int device);
size_t free_memory(int device);

// Where `bytes` at an address lie in this process. Dies where they are not all in one allocation of that card; `why` says whose
// they are.
char* on_host(CUdeviceptr address, size_t bytes, int device, const char* why);
char* on_host(const void* address, size_t bytes, int device, const char* why);

CUresult allocate_pinned(size_t bytes, void** address);
void release_pinned(void* address);
bool is_pinned(const void* address);

// --- streams.cpp

// A part of memory that a piece of work has for itself.
struct Claim {
    CUdeviceptr from;
    size_t bytes;
};

struct Work {
    std::string name;
    std::function<void()> run;
    std::vector<Claim> claims = {};
};

// Puts work behind all other work of a stream; in a capture, into the graph.
CUresult enqueue(CUstream stream, Work work);

// The card that a stream is on.
int device_of(CUstream stream);
bool is_capturing(CUstream stream);

// Does everything that a stream, or every stream of a card, still has to do.
void finish(CUstream stream);
void finish_all(int device);

// What the driver forbids while a capture is under way, that the capture could depend on without knowing: the capture is lost,
// and so is the call.
CUresult refuse_during_capture();

// The name of the work that is being done, for what is said of a bad address.
extern thread_local const char* doing;

}  // namespace standin
