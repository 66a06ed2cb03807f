// Kernels: found by name, started over a grid; see modules.cpp.
#pragma once

#include <cstring>
#include <tuple>
#include <type_traits>

#include "standin.h"

namespace standin {

// What a kernel sees of itself: threadIdx, blockIdx, blockDim, gridDim.
struct Place {
    unsigned x, y, z;
};
extern thread_local Place thread_index, block_index, block_size, grid_size;

// A kernel: `bind` reads its arguments where cuLaunchKernel was told that they are, `OnCard` finds what they point to, `Thread`
// is one thread.
struct Kernel {
    const char* name;
    std::vector<size_t> sizes;  // of the arguments, in bytes
    using Thread = std::function<void()>;
    using OnCard = std::function<Thread(int device)>;
    std::function<OnCard(void** arguments)> bind;
};

// Makes kernels known by their names; kernels_host.cpp does, once for each file of src/engine/cuda/kernels/.
void add(std::vector<Kernel> kernels);

// A pointer argument must lie in memory of the card, and is an address of this process when the kernel runs.
template <class T>
T argument_on_host(T value, int device) {
    if constexpr (std::is_pointer_v<T>)
        return value ? reinterpret_cast<T>(on_host(static_cast<const void*>(value), 0, device, doing)) : value;
    else
        return value;
}

CUresult load(CUmodule* module, const void* image);
CUresult unload(CUmodule module);
CUresult function_called(CUfunction* function, CUmodule module, const char* name);
CUresult start(CUfunction function, Place grid, Place block, unsigned shared, CUstream stream, void** arguments);

template <class... A>
Kernel kernel(const char* name, void (*function)(A...)) {
    auto bind = [function](void** arguments) {
        std::tuple<A...> values;
        std::apply([&, i = 0](A&... value) mutable { (std::memcpy(&value, arguments[i++], sizeof(A)), ...); }, values);
        return [function, values](int device) -> Kernel::Thread {
            auto there = std::apply([&](A... value) { return std::tuple<A...>(argument_on_host(value, device)...); }, values);
            return [function, there] { std::apply(function, there); };
        };
    };
    return {name, {sizeof(A)...}, bind};
}

}  // namespace standin
