// From operations to what is computed: tensors, one convolution, and what is joined to it.
//
//   x ─▶ convolution ─▶ (virtual) ─▶ add bias [1, k, 1, 1] ─▶ (virtual) ─▶ ReLU ─▶ y          the last two may be missing
#include <cstdlib>

#include "convolution.h"
#include "standin.h"

namespace standin {

bool restricted(const char* to) {
    static const char* text = std::getenv("HEADSTOCK_STANDIN_CUDNN");
    return text && !std::strcmp(text, to);
}

size_t size_of(cudnnDataType_t type) { return type == CUDNN_DATA_FLOAT ? 4 : 2; }

size_t Tensor::extent() const {
    int64_t last = 0;
    for (size_t axis = 0; axis < sizes.size(); axis++) last += (sizes[axis] - 1) * strides[axis];
    return size_t(last + 1) * size_of(type);
}

Tensor Descriptor::tensor() const {
    return {one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID),
            one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE),
            one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT),
            all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS),
            all<int64_t>(CUDNN_ATTR_TENSOR_STRIDES),
            has(CUDNN_ATTR_TENSOR_IS_VIRTUAL) && one<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL)};
}

cudnnStatus_t finalise_tensor(Descriptor& descriptor) {
    Tensor tensor = descriptor.tensor();
    if (tensor.type != CUDNN_DATA_FLOAT && tensor.type != CUDNN_DATA_HALF && tensor.type != CUDNN_DATA_BFLOAT16)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "tensor %lld: type %d is not known to the stand-in", (long long)tensor.id,
                      int(tensor.type));
    if (tensor.sizes.size() != tensor.strides.size() || tensor.sizes.size() != 4)
        return refuse(CUDNN_STATUS_BAD_PARAM, "tensor %lld: %zu sizes and %zu strides, not 4", (long long)tensor.id,
                      tensor.sizes.size(), tensor.strides.size());
    for (size_t axis = 0; axis < 4; axis++)
        if (tensor.sizes[axis] <= 0 || tensor.strides[axis] <= 0)
            return refuse(CUDNN_STATUS_BAD_PARAM, "tensor %lld: a size or stride that is not positive", (long long)tensor.id);
    if (tensor.alignment <= 0 || tensor.alignment % int64_t(size_of(tensor.type)))
        return refuse(CUDNN_STATUS_BAD_PARAM, "tensor %lld: aligned to %lld bytes", (long long)tensor.id,
                      (long long)tensor.alignment);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalise_convolution(Descriptor& descriptor) {
    int64_t axes = descriptor.one<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
    for (auto name : {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
                      CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS})
        if (descriptor.values.at(name).count != axes)
            return refuse(CUDNN_STATUS_BAD_PARAM, "attribute %d is not of %lld axes", int(name), (long long)axes);
    if (axes != 2) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "%lld spatial axes are not known to the stand-in", (long long)axes);
    if (descriptor.one<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "the stand-in computes in float");
    return CUDNN_STATUS_SUCCESS;
}

namespace {

struct Names {
    cudnnBackendAttributeName_t alpha, beta, convolution, w, x, y;
};

Names names_of(Direction direction) {
    switch (direction) {
        case Direction::FORWARD:
            return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
        case Direction::DATA_GRADIENT:
            return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
        default:
            return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
    }
}

Direction direction_of(cudnnBackendDescriptorType_t type) {
    return type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? Direction::FORWARD
           : type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? Direction::DATA_GRADIENT
                                                                                  : Direction::FILTER_GRADIENT;
}

Convolution convolution_of(const Descriptor& operation) {
    Direction direction = direction_of(operation.type);
    Names names = names_of(direction);
    const Descriptor& how = operation.other(names.convolution);
    Convolution convolution = {direction, operation.other(names.x).tensor(), operation.other(names.w).tensor(),
                               operation.other(names.y).tensor()};
    auto pair = [&](cudnnBackendAttributeName_t name, int64_t* values) {
        auto all = how.all<int64_t>(name);
        values[0] = all[0], values[1] = all[1];
    };
    pair(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, convolution.pad);
    pair(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, convolution.pad_behind);
    pair(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, convolution.stride);
    pair(CUDNN_ATTR_CONVOLUTION_DILATIONS, convolution.dilation);
    convolution.flipped = how.one<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CONVOLUTION;
    convolution.alpha = operation.one<float>(names.alpha);
    convolution.beta = operation.one<float>(names.beta);
    return convolution;
}

bool packed(const Tensor& tensor) {
    const auto& size = tensor.sizes;
    return tensor.strides == std::vector<int64_t>{size[1] * size[2] * size[3], 1, size[1] * size[3], size[1]};
}

// What a convolution can write and read: channels next to each other, and each pixel's aligned to 16 bytes.
cudnnStatus_t check_layout(const Tensor& tensor, const char* name) {
    int64_t unit = 16 / int64_t(size_of(tensor.type));
    if (tensor.is_virtual) return CUDNN_STATUS_SUCCESS;
    if (tensor.strides[1] != 1)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "%s: channels are %lld apart, not 1", name,
                      (long long)tensor.strides[1]);
    for (size_t axis : {0, 2, 3})
        if (tensor.sizes[axis] > 1 && tensor.strides[axis] % unit)
            return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "%s: stride %lld is no multiple of 16 bytes", name,
                          (long long)tensor.strides[axis]);
    if (tensor.sizes[1] % unit)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_SHAPE, "%s: %lld channels", name, (long long)tensor.sizes[1]);
    if (tensor.alignment % 16)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "%s is aligned to %lld bytes, not 16", name,
                      (long long)tensor.alignment);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t join(const Descriptor& operation, Convolution& convolution, Tensor& result) {
    const Descriptor& pointwise = operation.other(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    Tensor x = operation.other(CUDNN_ATTR_OPERATION_POINTWISE_XDESC).tensor(),
           y = operation.other(CUDNN_ATTR_OPERATION_POINTWISE_YDESC).tensor();
    if (x.id != result.id || !result.is_virtual)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "a chain by virtual tensors is all that the stand-in knows");
    if (result.type != CUDNN_DATA_FLOAT)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "virtual tensor %lld is not float", (long long)result.id);
    if (pointwise.one<cudnnDataType_t>(CUDNN_ATTR_POINTWISE_MATH_PREC) != CUDNN_DATA_FLOAT)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "pointwise operations are in float");
    if (y.sizes != x.sizes) return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "a pointwise operation between two shapes");
    for (auto name : {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2})
        if (operation.has(name) && operation.one<float>(name) != 1)
            return refuse(CUDNN_STATUS_NOT_SUPPORTED, "a pointwise factor other than 1");
    switch (pointwise.one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE)) {
        case CUDNN_POINTWISE_ADD: {
            if (!operation.has(CUDNN_ATTR_OPERATION_POINTWISE_BDESC)) return refuse(CUDNN_STATUS_BAD_PARAM, "a sum of one");
            if (convolution.is_fused())
                return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "bias, then ReLU, is all that the stand-in knows");
            convolution.bias = operation.other(CUDNN_ATTR_OPERATION_POINTWISE_BDESC).tensor();
            if (convolution.bias->sizes != std::vector<int64_t>{1, x.sizes[1], 1, 1})
                return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "the bias is not [1, channels, 1, 1]");
            break;
        }
        case CUDNN_POINTWISE_RELU_FWD:
            if (operation.has(CUDNN_ATTR_OPERATION_POINTWISE_BDESC)) return refuse(CUDNN_STATUS_BAD_PARAM, "a ReLU of two");
            if (convolution.relu) return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "two ReLUs");
            convolution.relu = true;
            break;
        default: return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "this pointwise operation is not known to the stand-in");
    }
    result = y;
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace

cudnnStatus_t finalise_operation(Descriptor& operation) {
    Convolution c = convolution_of(operation);
    if (c.x.sizes[1] != c.w.sizes[1] || c.w.sizes[0] != c.y.sizes[1] || c.x.sizes[0] != c.y.sizes[0])
        return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "images or channels differ between the tensors");
    for (size_t axis = 0; axis < 2; axis++) {
        int64_t seen = c.dilation[axis] * (c.w.sizes[axis + 2] - 1) + 1;
        int64_t out = (c.x.sizes[axis + 2] + c.pad[axis] + c.pad_behind[axis] - seen) / c.stride[axis] + 1;
        if (out != c.y.sizes[axis + 2])
            return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "%lld pixels come out, not %lld", (long long)out,
                          (long long)c.y.sizes[axis + 2]);
    }
    // Of small numbers the gradient of the filter may be float.
    bool widened = c.direction == Direction::FILTER_GRADIENT && c.w.type == CUDNN_DATA_FLOAT;
    if (c.x.type != c.w.type && !widened)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "images and kernels differ in type");
    if (c.x.type != c.y.type && c.direction != Direction::FORWARD)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "images and the gradient of the result differ in type");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalise_graph(Descriptor& graph) {
    const Descriptor& first = graph.other(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    size_t operations = size_t(graph.values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count);
    if (first.type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "no convolution in front");
    Convolution convolution = convolution_of(first);
    if (operations > 1 && convolution.direction != Direction::FORWARD)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "gradients stand alone");
    for (size_t i = 1; i < operations; i++) {
        const Descriptor& operation = graph.other(CUDNN_ATTR_OPERATIONGRAPH_OPS, i);
        if (operation.type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
            return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "a second convolution");
        if (cudnnStatus_t status = join(operation, convolution, convolution.y)) return status;
    }
    if (convolution.written().is_virtual) return refuse(CUDNN_STATUS_BAD_PARAM, "nothing is written");
    for (auto [tensor, name] : {std::pair(&convolution.x, "the images"), std::pair(&convolution.w, "the kernels"),
                                std::pair(&convolution.y, "the result")})
        if (cudnnStatus_t status = check_layout(*tensor, name)) return status;
    if (!packed(convolution.w)) return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "kernels with gaps");
    if (restricted("plain") && convolution.is_fused())
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "HEADSTOCK_STANDIN_CUDNN=plain: a convolution stands alone");
    if (restricted("plain") && convolution.x.type != convolution.w.type)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "HEADSTOCK_STANDIN_CUDNN=plain: one type for all");
    if (restricted("packed") && !packed(convolution.written()))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "HEADSTOCK_STANDIN_CUDNN=packed: a result with gaps");
    graph.convolution = std::make_shared<Convolution>(convolution);
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace standin
