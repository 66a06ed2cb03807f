// The library's handle, the engines that a convolution can be computed with, plans, and execution.
//
//   operation graph ─▶ heuristics ─▶ configurations ─▶ plan ─▶ execute, with a variant pack that says where the tensors are
//
// Engines differ as real ones do, and each says so in its notes; whoever takes one without reading them gets other numbers.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "convolution.h"
#include "standin.h"

struct cudnnContext {
    CUcontext context;
    CUstream stream;
};

namespace standin {

namespace {

struct Engine {
    std::vector<cudnnBackendNumericalNote_t> notes;
    Arithmetic arithmetic;
    bool makes_plans;
    bool has_knob = false;
};

// The knob of the engine that has one: in which order it sums.
constexpr cudnnBackendKnobType_t KNOB = CUDNN_KNOB_TYPE_TILEK;

const std::vector<Engine> ENGINES = {
    {{CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, {Rounding::TF32, false, 0}, true, true},
    {{CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, {Rounding::TF32, false, 0}, false},
    {{}, {Rounding::NONE, true, 0}, true},
    {{CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, {Rounding::TF32, false, 1e-2f}, true},
    {{CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, {Rounding::BFLOAT16, false, 0}, true},
    {{}, {Rounding::NONE, false, 0}, true},
};

struct Proposal {
    int64_t engine, knob;
};

std::vector<Proposal> heuristics(cudnnBackendHeurMode_t mode, const Convolution& convolution) {
    if (mode == CUDNN_HEUR_MODE_FALLBACK) return {{5, 0}};
    if (convolution.x.type == CUDNN_DATA_FLOAT) return {{3, 0}, {4, 0}, {0, 1}, {1, 0}, {0, 0}, {2, 0}, {5, 0}};
    return {{3, 0}, {1, 0}, {0, 1}, {0, 0}, {2, 0}, {5, 0}};
}

// More than nothing, so that it has to be there; and not the same for all, so that the largest has to be found.
int64_t workspace_of(const Descriptor& plan) { return 4096 + 512 * plan.engine + 256 * (plan.convolution->w.sizes[0] % 7); }

Value values(cudnnBackendAttributeType_t type, const void* from, size_t count, size_t size) {
    auto bytes = static_cast<const char*>(from);
    return {type, int64_t(count), std::vector<char>(bytes, bytes + count * size)};
}

Descriptor engine_descriptor(int64_t index, const std::shared_ptr<Convolution>& convolution) {
    Descriptor engine{CUDNN_BACKEND_ENGINE_DESCRIPTOR, true, {}, convolution, index};
    engine.values[CUDNN_ATTR_ENGINE_GLOBAL_INDEX] = values(CUDNN_TYPE_INT64, &index, 1, sizeof index);
    return engine;
}

Descriptor knob_choice(int64_t value) {
    Descriptor choice{CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, true};
    choice.values[CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE] = values(CUDNN_TYPE_KNOB_TYPE, &KNOB, 1, sizeof KNOB);
    choice.values[CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE] = values(CUDNN_TYPE_INT64, &value, 1, sizeof value);
    return choice;
}

}  // namespace

cudnnStatus_t finalise_engine(Descriptor& engine) {
    int64_t index = engine.one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
    if (index < 0 || index >= int64_t(ENGINES.size()))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "there is no engine %lld", (long long)index);
    engine.convolution = engine.other(CUDNN_ATTR_ENGINE_OPERATION_GRAPH).convolution;
    engine.engine = index;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalise_configuration(Descriptor& configuration) {
    const Descriptor& engine = configuration.other(CUDNN_ATTR_ENGINECFG_ENGINE);
    configuration.convolution = engine.convolution, configuration.engine = engine.engine;
    if (!configuration.has(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES)) return CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; i < configuration.values[CUDNN_ATTR_ENGINECFG_KNOB_CHOICES].count; i++) {
        const Descriptor& choice = configuration.other(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, size_t(i));
        int64_t value = choice.one<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE);
        bool known = choice.one<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE) == KNOB && (value == 0 || value == 1);
        if (!known || !ENGINES[size_t(engine.engine)].has_knob)
            return refuse(CUDNN_STATUS_NOT_SUPPORTED, "engine %lld has no such knob", (long long)engine.engine);
        configuration.knob = value;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalise_plan(Descriptor& plan) {
    if (refuse_during_capture()) return refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "a plan is made during a capture");
    const Descriptor& configuration = plan.other(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (!ENGINES[size_t(configuration.engine)].makes_plans)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING, "engine %lld makes no plans",
                      (long long)configuration.engine);
    if (restricted("nothing")) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "HEADSTOCK_STANDIN_CUDNN=nothing: there are no plans");
    bool has_cores = !ENGINES[size_t(configuration.engine)].notes.empty();
    if (restricted("cores") && configuration.convolution->is_fused() && !has_cores)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "HEADSTOCK_STANDIN_CUDNN=cores: only tensor cores join anything");
    plan.convolution = configuration.convolution, plan.engine = configuration.engine, plan.knob = configuration.knob;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalise_variant_pack(Descriptor& pack) {
    if (pack.values[CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS].count != pack.values[CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS].count)
        return refuse(CUDNN_STATUS_BAD_PARAM, "as many names as pointers are needed");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t computed(const Descriptor& of, cudnnBackendAttributeName_t name, Value& value,
                       std::vector<Descriptor>& descriptors) {
    switch (name) {
        case CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT: {
            int64_t count = int64_t(ENGINES.size());
            value = values(CUDNN_TYPE_INT64, &count, 1, sizeof count);
            return CUDNN_STATUS_SUCCESS;
        }
        case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: {
            const auto& notes = ENGINES[size_t(of.engine)].notes;
            value = values(CUDNN_TYPE_NUMERICAL_NOTE, notes.data(), notes.size(), sizeof notes[0]);
            return CUDNN_STATUS_SUCCESS;
        }
        case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE: value = {CUDNN_TYPE_BEHAVIOR_NOTE, 0, {}}; return CUDNN_STATUS_SUCCESS;
        case CUDNN_ATTR_ENGINE_KNOB_INFO: return CUDNN_STATUS_SUCCESS;
        case CUDNN_ATTR_ENGINECFG_ENGINE:
            descriptors = {engine_descriptor(of.engine, of.convolution)};
            return CUDNN_STATUS_SUCCESS;
        case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:
            if (ENGINES[size_t(of.engine)].has_knob) descriptors = {knob_choice(of.knob)};
            return CUDNN_STATUS_SUCCESS;
        case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
            const auto& convolution = of.other(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).convolution;
            for (Proposal proposal : heuristics(of.one<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE), *convolution))
                descriptors.push_back(
                    {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, true, {}, convolution, proposal.engine, proposal.knob});
            return CUDNN_STATUS_SUCCESS;
        }
        case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE: {
            int64_t bytes = workspace_of(of);
            value = values(CUDNN_TYPE_INT64, &bytes, 1, sizeof bytes);
            return CUDNN_STATUS_SUCCESS;
        }
        default:
            if (!of.has(name)) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "attribute %d is not known to the stand-in", int(name));
            value = of.values.at(name);
            return CUDNN_STATUS_SUCCESS;
    }
}

namespace {

// Where a tensor is, by its name; null where nobody said.
CUdeviceptr address_of(const Tensor& tensor, const Descriptor& pack) {
    auto ids = pack.all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    auto pointers = pack.all<CUdeviceptr>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    for (size_t i = 0; i < ids.size(); i++)
        if (ids[i] == tensor.id) return pointers[i];
    return 0;
}

// Whoever left something in the workspace, or thinks to find there what was left, is told.
void spoil(char* workspace, int64_t bytes) { std::fill(workspace, workspace + bytes, char(0xA5)); }

}  // namespace

}  // namespace standin

using namespace standin;

extern "C" {

size_t cudnnGetVersion(void) { return 91700; }
size_t cudnnGetCudartVersion(void) { return 13000; }

const char* cudnnGetErrorString(cudnnStatus_t status) {
    switch (CUDNN_STATUS_CATEGORY(status)) {
        case 0: return "CUDNN_STATUS_SUCCESS";
        case 2000: return "CUDNN_STATUS_BAD_PARAM";
        case 3000: return "CUDNN_STATUS_NOT_SUPPORTED";
        case 5000: return "CUDNN_STATUS_EXECUTION_FAILED";
        default: return "CUDNN_STATUS_INTERNAL_ERROR";
    }
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
    STANDIN_LOCKED;
    if (!current()) return refuse(CUDNN_STATUS_NOT_INITIALIZED, "no context is current");
    if (refuse_during_capture()) return refuse(CUDNN_STATUS_INTERNAL_ERROR, "a handle is made during a capture");
    return *handle = new cudnnContext{current(), nullptr}, CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    STANDIN_LOCKED;
    finish_all(handle->context->device);
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    STANDIN_LOCKED;
    if (device_of(stream) != handle->context->device)
        return refuse(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH, "a stream of another card");
    return handle->stream = stream, CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
    return *stream = handle->stream, CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_pointer,
                                  cudnnBackendDescriptor_t pack_pointer) {
    STANDIN_LOCKED;
    Descriptor *plan = descriptor_at(plan_pointer), *pack = descriptor_at(pack_pointer);
    if (!plan || !plan->finalised || !pack || !pack->finalised)
        return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "a plan or variant pack that is not finalised");
    if (!handle->stream) return refuse(CUDNN_STATUS_BAD_PARAM, "the stand-in wants a stream to be set");
    if (current() != handle->context)
        return refuse(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH, "another context is current than the handle's");

    const Convolution& c = *plan->convolution;
    std::vector<const Tensor*> tensors = {&c.x, &c.w, &c.y};
    if (c.bias) tensors.push_back(&*c.bias);
    std::vector<CUdeviceptr> addresses;
    for (const Tensor* tensor : tensors) {
        addresses.push_back(address_of(*tensor, *pack));
        if (!addresses.back())
            return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "tensor %lld is nowhere", (long long)tensor->id);
        if ((addresses.back() & ~ON_CARD) % CUdeviceptr(tensor->alignment))
            return refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "tensor %lld", (long long)tensor->id);
    }
    // What a plan needs is loaded when it first runs, which a capture need not survive.
    if (!plan->loaded && is_capturing(handle->stream)) {
        refuse_during_capture();
        return refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "a plan runs for the first time in a capture");
    }
    plan->loaded = true;

    int64_t bytes = workspace_of(*plan);
    CUdeviceptr workspace = pack->one<CUdeviceptr>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    if (!workspace) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no workspace");

    auto convolution = plan->convolution;
    Arithmetic arithmetic = ENGINES[size_t(plan->engine)].arithmetic;
    if (plan->knob) arithmetic.backwards = !arithmetic.backwards;
    int device = handle->context->device;
    auto run = [=] {
        auto at = [&](size_t i, const Tensor& tensor) { return on_host(addresses[i], tensor.extent(), device, doing); };
        char* scratch = on_host(workspace, size_t(bytes), device, "a workspace");
        spoil(scratch, bytes);
        char *x = at(0, convolution->x), *w = at(1, convolution->w), *y = at(2, convolution->y);
        char* bias = convolution->bias ? at(3, *convolution->bias) : nullptr;
        compute(*convolution, arithmetic, {x, w, bias, y, x, w});
        spoil(scratch, bytes);
    };
    return enqueue(handle->stream, {"cudnnBackendExecute", run, {{workspace, size_t(bytes)}}})
               ? refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "the stream takes nothing")
               : CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
