// libcublas.so.13, libcublasLt.so.13, libcurand.so.10: opening and closing, which is all that candle does with them when it opens
// a device. Whoever wants a product or a random number of them gets an error.
#include <cstddef>

namespace {
constexpr int SUCCESS = 0, NOT_SUPPORTED = 15, OUT_OF_RANGE = 104;
int handle;
}  // namespace

extern "C" {

int cublasCreate_v2(void** created) { return *created = &handle, SUCCESS; }
int cublasDestroy_v2(void*) { return SUCCESS; }
int cublasSetStream_v2(void*, void*) { return SUCCESS; }
int cublasGemmEx(void*) { return NOT_SUPPORTED; }
int cublasGemmStridedBatchedEx(void*) { return NOT_SUPPORTED; }

int cublasLtCreate(void** created) { return *created = &handle, SUCCESS; }
int cublasLtDestroy(void*) { return SUCCESS; }

int curandCreateGenerator(void** created, int) { return *created = &handle, SUCCESS; }
int curandDestroyGenerator(void*) { return SUCCESS; }
int curandSetPseudoRandomGeneratorSeed(void*, unsigned long long) { return SUCCESS; }
int curandSetStream(void*, void*) { return SUCCESS; }
int curandGenerateUniform(void*, float*, size_t) { return OUT_OF_RANGE; }

}  // extern "C"
