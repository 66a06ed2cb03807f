// A convolution as an operation graph says it, and its arithmetic; see operation_graph.cpp and convolution.cpp.
#pragma once

#include <optional>

#include "descriptors.h"

namespace standin {

enum class Direction { FORWARD, DATA_GRADIENT, FILTER_GRADIENT };

struct Convolution {
    Direction direction;
    // Forward, x and w give y. The gradient of the data is written to x, that of the filter to w.
    Tensor x, w, y;
    std::optional<Tensor> bias;
    bool relu = false;
    int64_t pad[2], pad_behind[2], stride[2], dilation[2];
    bool flipped;  // a convolution, not a correlation
    float alpha, beta;

    const Tensor& written() const { return direction == Direction::FORWARD ? y : direction == Direction::DATA_GRADIENT ? x : w; }
    bool is_fused() const { return bias || relu; }
};

// How an engine computes.
enum class Rounding { NONE, TF32, BFLOAT16 };
struct Arithmetic {
    Rounding of_inputs;
    bool backwards;  // the order of the sums
    float noise;     // relative, another one at each run
};

// Memory of the tensors as addresses of this process.
struct Memory {
    const char *x, *w, *bias;
    char *y, *written_x, *written_w;
};

void compute(const Convolution& convolution, const Arithmetic& arithmetic, const Memory& memory);

}  // namespace standin
