// Memory of the cards. Between any two allocations lie pages that nobody may touch, fresh memory is not a number in any type, and
// what lies between the end of an allocation and the next page is looked at when it is freed.
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "standin.h"

namespace standin {

namespace {

constexpr size_t PAGE = 4096;
constexpr size_t ALIGNMENT = 256;      // what cuMemAlloc promises
constexpr unsigned char FRESH = 0xff;  // NaN as float, half and bfloat16

struct Allocation {
    int device;
    size_t bytes;
    char* pages;
    size_t length;
};

// Never destroyed: threads may still run when the process ends.
auto& allocations = *new std::map<char*, Allocation>;
auto& pinned = *new std::map<const char*, size_t>;
auto& used = *new std::map<int, size_t>;

size_t up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

void die(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::fprintf(stderr, "stand-in for the card: ");
    std::vfprintf(stderr, format, arguments);
    std::fprintf(stderr, "\n");
    va_end(arguments);
    std::abort();
}

size_t memory_of_a_card() {
    const char* bytes = std::getenv("HEADSTOCK_STANDIN_MEMORY");
    return bytes ? std::strtoull(bytes, nullptr, 10) : size_t(2) << 30;
}

size_t free_memory(int device) { return memory_of_a_card() - used[device]; }

CUresult allocate(int device, size_t bytes, CUdeviceptr* address) {
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (up(bytes, ALIGNMENT) > free_memory(device)) {
        finish_all(device);  // what is freed behind work that is still to be done
        if (up(bytes, ALIGNMENT) > free_memory(device)) return CUDA_ERROR_OUT_OF_MEMORY;
    }
    size_t inner = up(bytes, PAGE), length = inner + 2 * PAGE;
    char* pages = static_cast<char*>(mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (pages == MAP_FAILED || mprotect(pages + PAGE, inner, PROT_READ | PROT_WRITE)) return CUDA_ERROR_OUT_OF_MEMORY;
    // Its end is at the page that nobody may touch, so far as the alignment allows.
    char* start = pages + PAGE + inner - up(bytes, ALIGNMENT);
    std::memset(pages + PAGE, FRESH, inner);
    allocations[start] = {device, bytes, pages, length};
    used[device] += up(bytes, ALIGNMENT);
    *address = reinterpret_cast<CUdeviceptr>(start) | ON_CARD;
    return CUDA_SUCCESS;
}

void release(CUdeviceptr address, int device) {
    auto found = allocations.find(reinterpret_cast<char*>(address & ~ON_CARD));
    if (found == allocations.end()) die("memory %#llx is freed that is none, or no longer", address);
    auto [start, allocation] = *found;
    if (allocation.device != device) die("memory of card %d is freed by card %d", allocation.device, device);
    for (size_t i = allocation.bytes; i < up(allocation.bytes, ALIGNMENT); i++)
        if (static_cast<unsigned char>(start[i]) != FRESH)
            die("somebody wrote behind the end of %zu bytes, at +%zu", allocation.bytes, i);
    used[device] -= up(allocation.bytes, ALIGNMENT);
    munmap(allocation.pages, allocation.length);
    allocations.erase(found);
}

char* on_host(CUdeviceptr address, size_t bytes, int device, const char* why) {
    if (!(address & ON_CARD)) die("%s: %#llx is no address on a card", why, address);
    char* start = reinterpret_cast<char*>(address & ~ON_CARD);
    auto next = allocations.upper_bound(start);
    if (next == allocations.begin()) die("%s: no memory at %#llx", why, address);
    auto& [base, allocation] = *--next;
    // One past the end is an address too, of nothing.
    if (start + bytes > base + allocation.bytes)
        die("%s: %zu bytes at +%zu of an allocation of %zu (or of one that is freed)", why, bytes, size_t(start - base),
            allocation.bytes);
    if (allocation.device != device) die("%s: memory of card %d is used on card %d", why, allocation.device, device);
    return start;
}

char* on_host(const void* address, size_t bytes, int device, const char* why) {
    return on_host(reinterpret_cast<CUdeviceptr>(address), bytes, device, why);
}

CUresult allocate_pinned(size_t bytes, void** address) {
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    *address = std::aligned_alloc(PAGE, up(bytes, PAGE));
    if (!*address) return CUDA_ERROR_OUT_OF_MEMORY;
    std::memset(*address, FRESH, bytes);
    pinned[static_cast<char*>(*address)] = bytes;
    return CUDA_SUCCESS;
}

void release_pinned(void* address) {
    if (!pinned.erase(static_cast<char*>(address))) die("pinned memory is freed that is none, or no longer");
    std::free(address);
}

bool is_pinned(const void* address) {
    auto next = pinned.upper_bound(static_cast<const char*>(address));
    if (next == pinned.begin()) return false;
    auto [start, bytes] = *--next;
    return static_cast<const char*>(address) < start + bytes;
}

}  // namespace standin
