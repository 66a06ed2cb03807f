// Modules, functions and launches. PTX is only searched for the names of its kernels and the sizes of their arguments: what runs
// is the same source compiled for this processor, and the two must agree.
#include "modules.h"

#include <unistd.h>

#include <csignal>
#include <map>
#include <set>
#include <string>
#include <thread>

struct CUmod_st {
    CUcontext context;
    std::map<std::string, CUfunc_st*> functions;
};

struct CUfunc_st {
    std::string name;
    std::vector<size_t> sizes;
    const standin::Kernel* kernel;
    bool loaded = false;
};

namespace standin {

thread_local Place thread_index, block_index, block_size, grid_size;

namespace {

auto& modules = *new std::set<CUmodule>;

std::map<std::string, Kernel>& kernels() {
    static auto& all = *new std::map<std::string, Kernel>;
    return all;
}

size_t size_of(const std::string& parameter) {
    size_t at = parameter.find(".param");
    if (at == std::string::npos) return 0;
    size_t bits = parameter.find_first_of("0123456789", at);
    return std::stoul(parameter.substr(bits)) / 8;
}

// `.entry name( .param .u64 a, .param .u32 b )` for every kernel.
void read_ptx(const std::string& ptx, CUmodule module) {
    for (size_t at = 0; (at = ptx.find(".entry ", at)) != std::string::npos;) {
        size_t open = ptx.find('(', at += 7), close = ptx.find(')', open);
        std::string name = ptx.substr(at, open - at), parameters = ptx.substr(open + 1, close - open - 1);
        name.erase(name.find_last_not_of(" \n\t") + 1);
        auto function = new CUfunc_st{name, {}, nullptr};
        for (size_t from = 0; from < parameters.size();) {
            size_t comma = std::min(parameters.find(',', from), parameters.size());
            if (size_t size = size_of(parameters.substr(from, comma - from))) function->sizes.push_back(size);
            from = comma + 1;
        }
        if (auto found = kernels().find(name); found != kernels().end()) function->kernel = &found->second;
        if (function->kernel && function->kernel->sizes != function->sizes)
            die("the arguments of '%s' in the binary are not those of the source: one of the two is stale", name.c_str());
        module->functions[name] = function;
    }
}

void stopped(int signal) {
    char text[256];
    const char* why = signal == SIGILL ? "did what a card or C++ does not allow: an address that is not aligned, an overflow"
                                       : "followed an address outside of its memory";
    int length = std::snprintf(text, sizeof text, "stand-in for the card: '%s' %s\n", doing, why);
    if (write(2, text, size_t(length)) < 0) _exit(138);
    _exit(139);
}

void run_blocks(const Kernel::Thread& thread, Place grid, Place block, size_t from, size_t to, const char* name) {
    doing = name;
    grid_size = grid, block_size = block;
    for (size_t i = from; i < to; i++) {
        block_index = {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
        for (unsigned z = 0; z < block.z; z++)
            for (unsigned y = 0; y < block.y; y++)
                for (unsigned x = 0; x < block.x; x++) {
                    thread_index = {x, y, z};
                    thread();
                }
    }
}

}  // namespace

void add(std::vector<Kernel> kernels) {
    for (Kernel& kernel : kernels) standin::kernels()[kernel.name] = kernel;
}

void watch_addresses() {
    struct sigaction action = {};
    action.sa_handler = stopped;
    for (int signal : {SIGSEGV, SIGBUS, SIGILL}) sigaction(signal, &action, nullptr);
}

CUresult load(CUmodule* module, const void* image) {
    if (CUresult refused = refuse_during_capture()) return refused;
    *module = new CUmod_st{current(), {}};
    modules.insert(*module);
    read_ptx(static_cast<const char*>(image), *module);
    return CUDA_SUCCESS;
}

CUresult unload(CUmodule module) {
    if (!modules.erase(module)) die("a module is unloaded that is none, or no longer");
    finish_all(module->context->device);
    for (auto& [name, function] : module->functions) delete function;
    delete module;
    return CUDA_SUCCESS;
}

CUresult function_called(CUfunction* function, CUmodule module, const char* name) {
    auto found = module->functions.find(name);
    if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
    *function = found->second;
    return CUDA_SUCCESS;
}

CUresult start(CUfunction function, Place grid, Place block, unsigned shared, CUstream stream, void** arguments) {
    bool sizes =
        grid.x && grid.y && grid.z && block.x && block.y && block.z && grid.y <= 65535 && grid.z <= 65535 && grid.x <= 0x7fffffff;
    if (!sizes || block.x > 1024 || block.y > 1024 || block.z > 64 || size_t(block.x) * block.y * block.z > 1024 ||
        shared > 48 << 10)
        return CUDA_ERROR_INVALID_VALUE;
    if (!function->kernel) die("the kernel '%s' is not one of ours: the stand-in has no source of it", function->name.c_str());
    // A kernel is loaded when it is first started, which a capture need not survive.
    if (!function->loaded && is_capturing(stream)) {
        refuse_during_capture();
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    function->loaded = true;
    auto bound = function->kernel->bind(arguments);
    const char* name = function->kernel->name;
    int device = device_of(stream);
    return enqueue(stream, {name, [=] {
                                size_t blocks = size_t(grid.x) * grid.y * grid.z;
                                Kernel::Thread thread = bound(device);
                                std::thread half([&] { run_blocks(thread, grid, block, 0, blocks / 2, name); });
                                run_blocks(thread, grid, block, blocks / 2, blocks, name);
                                half.join();
                            }});
}

}  // namespace standin
