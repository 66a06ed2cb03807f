// cudnnBackend{Create,Destroy}Descriptor, SetAttribute, GetAttribute, Finalize: a store of attributes, strict about the type and
// number of each, about what is required, and about the order: nothing is set after finalising, and nothing used before.
#include "descriptors.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <set>

#include "standin.h"

namespace standin {

namespace {

thread_local char last_error[512] = "";

auto& living = *new std::set<Descriptor*>;

enum Need { REQUIRED, OPTIONAL, READ_ONLY };

struct Rule {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t least, most;
    Need need;
};

constexpr int64_t MANY = 1 << 20;

const std::map<cudnnBackendDescriptorType_t, std::vector<Rule>> RULES = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR,
     {{CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1, REQUIRED},
      {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, REQUIRED},
      {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1, REQUIRED},
      {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX, REQUIRED},
      {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX, REQUIRED},
      {CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, 1, OPTIONAL}}},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR,
     {{CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, REQUIRED},
      {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, 1, REQUIRED},
      {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1, REQUIRED},
      {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX, REQUIRED},
      {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX, REQUIRED},
      {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX, REQUIRED},
      {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX, REQUIRED}}},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     {{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED}}},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED}}},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED}}},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR,
     {{CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1, REQUIRED},
      {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1, REQUIRED},
      {CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, 1, OPTIONAL},
      {CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, CUDNN_TYPE_DOUBLE, 1, 1, OPTIONAL},
      {CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, CUDNN_TYPE_DOUBLE, 1, 1, OPTIONAL}}},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
     {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, OPTIONAL},
      {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_TYPE_FLOAT, 1, 1, OPTIONAL},
      {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, CUDNN_TYPE_FLOAT, 1, 1, OPTIONAL}}},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR,
     {{CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, 1, REQUIRED},
      {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, MANY, REQUIRED},
      {CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT, CUDNN_TYPE_INT64, 1, 1, READ_ONLY}}},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR,
     {{CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, 1, REQUIRED},
      {CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, 0, MANY, READ_ONLY},
      {CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, 0, MANY, READ_ONLY},
      {CUDNN_ATTR_ENGINE_KNOB_INFO, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, MANY, READ_ONLY}}},
    {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
     {{CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, MANY, OPTIONAL}}},
    {CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR,
     {{CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, 1, REQUIRED},
      {CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, 1, REQUIRED}}},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR,
     {{CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1, REQUIRED},
      {CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, MANY, READ_ONLY}}},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
     {{CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, 1, REQUIRED},
      {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, REQUIRED},
      {CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, 1, READ_ONLY}}},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR,
     {{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 0, MANY, REQUIRED},
      {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 0, MANY, REQUIRED},
      {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1, REQUIRED}}},
};

size_t bytes_of(cudnnBackendAttributeType_t type) {
    switch (type) {
        case CUDNN_TYPE_BOOLEAN: return 1;
        case CUDNN_TYPE_HANDLE:
        case CUDNN_TYPE_VOID_PTR:
        case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        case CUDNN_TYPE_INT64:
        case CUDNN_TYPE_DOUBLE: return 8;
        default: return 4;
    }
}

const Rule* rule_of(const Descriptor& descriptor, cudnnBackendAttributeName_t name) {
    for (const Rule& rule : RULES.at(descriptor.type))
        if (rule.name == name) return &rule;
    return nullptr;
}

}  // namespace

cudnnStatus_t refuse(cudnnStatus_t status, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    return status;
}

Descriptor* descriptor_at(cudnnBackendDescriptor_t pointer) {
    auto descriptor = static_cast<Descriptor*>(pointer);
    return living.count(descriptor) ? descriptor : nullptr;
}

const Descriptor& Descriptor::other(cudnnBackendAttributeName_t name, size_t index) const {
    const Descriptor* given = descriptor_at(all<cudnnBackendDescriptor_t>(name).at(index));
    if (!given) die("a descriptor that attribute %d of another one names was destroyed before that was used", int(name));
    return *given;
}

}  // namespace standin

using namespace standin;

extern "C" {

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* created) {
    STANDIN_LOCKED;
    if (!RULES.count(type))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "descriptors of type %d are not known to the stand-in", int(type));
    auto descriptor = new Descriptor{type};
    living.insert(descriptor);
    *created = descriptor;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t pointer) {
    STANDIN_LOCKED;
    Descriptor* descriptor = descriptor_at(pointer);
    if (!descriptor) die("a descriptor is destroyed that is none, or no longer");
    living.erase(descriptor);
    delete descriptor;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t pointer, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* elements) {
    STANDIN_LOCKED;
    Descriptor* descriptor = descriptor_at(pointer);
    if (!descriptor) return refuse(CUDNN_STATUS_BAD_PARAM, "no descriptor");
    const Rule* rule = rule_of(*descriptor, name);
    if (!rule)
        return refuse(CUDNN_STATUS_BAD_PARAM, "descriptor type %d has no attribute %d here", int(descriptor->type), int(name));
    if (rule->need == READ_ONLY) return refuse(CUDNN_STATUS_BAD_PARAM, "attribute %d can only be read", int(name));
    if (descriptor->finalised) return refuse(CUDNN_STATUS_BAD_PARAM, "attribute %d is set after finalising", int(name));
    if (rule->type != type)
        return refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "attribute %d is of type %d, not %d", int(name), int(rule->type),
                      int(type));
    if (count < rule->least || count > rule->most)
        return refuse(CUDNN_STATUS_BAD_PARAM, "attribute %d of %lld elements", int(name), (long long)count);
    if (count && !elements) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "attribute %d", int(name));
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        for (int64_t i = 0; i < count; i++) {
            Descriptor* given = descriptor_at(static_cast<const cudnnBackendDescriptor_t*>(elements)[i]);
            if (!given || !given->finalised)
                return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "attribute %d: a descriptor that is not finalised",
                              int(name));
        }
    auto bytes = static_cast<const char*>(elements);
    descriptor->values[name] = {type, count, std::vector<char>(bytes, bytes + size_t(count) * bytes_of(type))};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t pointer) {
    STANDIN_LOCKED;
    Descriptor* descriptor = descriptor_at(pointer);
    if (!descriptor) return refuse(CUDNN_STATUS_BAD_PARAM, "no descriptor");
    if (descriptor->finalised) return refuse(CUDNN_STATUS_BAD_PARAM, "finalised twice");
    for (const Rule& rule : RULES.at(descriptor->type))
        if (rule.need == REQUIRED && !descriptor->has(rule.name))
            return refuse(CUDNN_STATUS_BAD_PARAM, "attribute %d is required", int(rule.name));
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    switch (descriptor->type) {
        case CUDNN_BACKEND_TENSOR_DESCRIPTOR: status = finalise_tensor(*descriptor); break;
        case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: status = finalise_convolution(*descriptor); break;
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR: status = finalise_operation(*descriptor); break;
        case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: status = finalise_graph(*descriptor); break;
        case CUDNN_BACKEND_ENGINE_DESCRIPTOR: status = finalise_engine(*descriptor); break;
        case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR: status = finalise_configuration(*descriptor); break;
        case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: status = finalise_plan(*descriptor); break;
        case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR: status = finalise_variant_pack(*descriptor); break;
        default: break;
    }
    descriptor->finalised = status == CUDNN_STATUS_SUCCESS;
    return status;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t pointer, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t* count, void* elements) {
    STANDIN_LOCKED;
    Descriptor* descriptor = descriptor_at(pointer);
    if (!descriptor || !descriptor->finalised)
        return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "attribute %d is asked of a descriptor that is not finalised",
                      int(name));
    const Rule* rule = rule_of(*descriptor, name);
    if (!rule)
        return refuse(CUDNN_STATUS_BAD_PARAM, "descriptor type %d has no attribute %d here", int(descriptor->type), int(name));
    if (rule->type != type)
        return refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "attribute %d is of type %d, not %d", int(name), int(rule->type),
                      int(type));
    Value value;
    std::vector<Descriptor> descriptors;
    if (cudnnStatus_t status = computed(*descriptor, name, value, descriptors)) return status;
    int64_t there = type == CUDNN_TYPE_BACKEND_DESCRIPTOR ? int64_t(descriptors.size()) : value.count;
    if (count) *count = there;
    if (!elements) return CUDNN_STATUS_SUCCESS;
    if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        std::memcpy(elements, value.bytes.data(), size_t(std::min(room, there)) * bytes_of(type));
        return CUDNN_STATUS_SUCCESS;
    }
    // The caller has made descriptors of the right type; they become the ones that were asked for.
    if (count) *count = std::min(room, there);
    for (int64_t i = 0; i < std::min(room, there); i++) {
        Descriptor* given = descriptor_at(static_cast<cudnnBackendDescriptor_t*>(elements)[i]);
        if (!given || given->type != descriptors[size_t(i)].type)
            return refuse(CUDNN_STATUS_BAD_PARAM, "attribute %d wants descriptors of type %d to fill", int(name),
                          int(descriptors[size_t(i)].type));
        *given = descriptors[size_t(i)];
    }
    return CUDNN_STATUS_SUCCESS;
}

void cudnnGetLastErrorString(char* message, size_t size) { std::snprintf(message, size, "%s", last_error); }

}  // extern "C"
