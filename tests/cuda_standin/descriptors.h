// cuDNN's backend descriptors: attributes by name, held to what the header says of each; see descriptors.cpp.
#pragma once

#include <cudnn.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace standin {

// The status of a call, and what it leaves for cudnnGetLastErrorString.
cudnnStatus_t refuse(cudnnStatus_t status, const char* format, ...) __attribute__((format(printf, 2, 3)));

struct Tensor {
    int64_t id;
    cudnnDataType_t type;
    int64_t alignment;
    std::vector<int64_t> sizes, strides;
    bool is_virtual;

    // Bytes from the first element to behind the last.
    size_t extent() const;
};

struct Convolution;  // convolution.h

struct Value {
    cudnnBackendAttributeType_t type;
    int64_t count;
    std::vector<char> bytes;
};

struct Descriptor {
    cudnnBackendDescriptorType_t type;
    bool finalised = false;
    std::map<cudnnBackendAttributeName_t, Value> values = {};
    // Of an operation graph, and of an engine, a configuration and a plan for it: what is computed.
    std::shared_ptr<Convolution> convolution = {};
    int64_t engine = 0;
    int64_t knob = 0;  // the value of the one knob that there is
    bool loaded = false;  // of a plan: whether it has run, so that the driver has its kernels

    bool has(cudnnBackendAttributeName_t name) const { return values.count(name) != 0; }

    template <class T>
    std::vector<T> all(cudnnBackendAttributeName_t name) const {
        const Value& value = values.at(name);
        std::vector<T> result(size_t(value.count));
        std::memcpy(result.data(), value.bytes.data(), value.bytes.size());
        return result;
    }

    template <class T>
    T one(cudnnBackendAttributeName_t name) const {
        return all<T>(name).at(0);
    }

    // Another descriptor that this one was given: dies where that is gone.
    const Descriptor& other(cudnnBackendAttributeName_t name, size_t index = 0) const;

    Tensor tensor() const;
};

// The descriptor behind a pointer; null where there is none.
Descriptor* descriptor_at(cudnnBackendDescriptor_t pointer);

size_t size_of(cudnnDataType_t type);

// Whether HEADSTOCK_STANDIN_CUDNN asks for a cuDNN that can less, in this way.
bool restricted(const char* to);

// What finalising does beyond asking for the required attributes; one for each type of descriptor that has more to it.
cudnnStatus_t finalise_tensor(Descriptor& tensor);
cudnnStatus_t finalise_convolution(Descriptor& convolution);
cudnnStatus_t finalise_operation(Descriptor& operation);
cudnnStatus_t finalise_graph(Descriptor& graph);
cudnnStatus_t finalise_engine(Descriptor& engine);
cudnnStatus_t finalise_configuration(Descriptor& configuration);
cudnnStatus_t finalise_plan(Descriptor& plan);
cudnnStatus_t finalise_variant_pack(Descriptor& pack);

// The attributes that can only be read, and what gives them: their values, or, of descriptors, what is to be put into each that
// the caller brought.
cudnnStatus_t computed(const Descriptor& of, cudnnBackendAttributeName_t name, Value& value,
                       std::vector<Descriptor>& descriptors);

}  // namespace standin
