// The arithmetic: float sums over tensors of any strides, on two threads.
//
//   tensors ─▶ float, channels last, zeros around ─▶ for each pixel and tap: channels in times channels out ─▶ bias, ReLU ─▶
//   rounded, by strides
#include "convolution.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

namespace standin {

namespace {

float to_float(uint16_t bits) {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
}

// To the nearest number with fewer bits, ties to the even one: bfloat16 leaves out 16, TF32 13.
float rounded_off(float value, int bits) {
    uint32_t wide;
    std::memcpy(&wide, &value, 4);
    if ((wide & 0x7f800000) == 0x7f800000) return value;
    wide += (1u << (bits - 1)) - 1 + (wide >> bits & 1);
    wide &= ~((1u << bits) - 1);
    std::memcpy(&value, &wide, 4);
    return value;
}

float read(const char* memory, cudnnDataType_t type, int64_t index) {
    if (type == CUDNN_DATA_FLOAT) return reinterpret_cast<const float*>(memory)[index];
    if (type == CUDNN_DATA_HALF) return float(reinterpret_cast<const _Float16*>(memory)[index]);
    return to_float(reinterpret_cast<const uint16_t*>(memory)[index]);
}

void write(char* memory, cudnnDataType_t type, int64_t index, float value) {
    if (type == CUDNN_DATA_FLOAT) {
        reinterpret_cast<float*>(memory)[index] = value;
    } else if (type == CUDNN_DATA_HALF) {
        reinterpret_cast<_Float16*>(memory)[index] = _Float16(value);
    } else {
        float near = rounded_off(value, 16);
        uint32_t wide;
        std::memcpy(&wide, &near, 4);
        reinterpret_cast<uint16_t*>(memory)[index] = uint16_t(wide >> 16);
    }
}

float prepared(float value, Rounding rounding) {
    return rounding == Rounding::NONE ? value : rounded_off(value, rounding == Rounding::TF32 ? 13 : 16);
}

// Whatever lies by the strides, as floats in the order of `axes`.
std::vector<float> gathered(const Tensor& tensor, const char* memory, const int (&axes)[4], Rounding rounding) {
    std::vector<float> all;
    all.reserve(size_t(tensor.sizes[0] * tensor.sizes[1] * tensor.sizes[2] * tensor.sizes[3]));
    const auto &n = tensor.sizes, &s = tensor.strides;
    const int a = axes[0], b = axes[1], c = axes[2], d = axes[3];
    for (int64_t i = 0; i < n[a]; i++)
        for (int64_t j = 0; j < n[b]; j++)
            for (int64_t k = 0; k < n[c]; k++)
                for (int64_t l = 0; l < n[d]; l++)
                    all.push_back(prepared(read(memory, tensor.type, i * s[a] + j * s[b] + k * s[c] + l * s[d]), rounding));
    return all;
}

template <class F>
void halves(int64_t count, F part) {
    std::thread other([&] { part(int64_t(0), count / 2); });
    part(count / 2, count);
    other.join();
}

struct Shape {
    int64_t images, channels, height, width, out, rows, columns, kernel_height, kernel_width;
};

Shape shape_of(const Convolution& c) {
    return {c.x.sizes[0], c.x.sizes[1], c.x.sizes[2], c.x.sizes[3], c.y.sizes[1],
            c.y.sizes[2], c.y.sizes[3], c.w.sizes[2], c.w.sizes[3]};
}

// Which pixel a tap sees, along one axis; outside where it is none.
int64_t seen(const Convolution& c, int axis, int64_t out, int64_t tap) {
    int64_t place = c.flipped ? c.w.sizes[size_t(axis) + 2] - 1 - tap : tap;
    return out * c.stride[axis] - c.pad[axis] + place * c.dilation[axis];
}

void finish_row(const Convolution& c, const Arithmetic& arithmetic, const Memory& memory, const std::vector<float>& bias,
                float* sums, int64_t image, int64_t row, std::minstd_rand& random) {
    const auto& s = c.y.strides;
    const Shape n = shape_of(c);
    for (int64_t column = 0; column < n.columns; column++)
        for (int64_t k = 0; k < n.out; k++) {
            float value = c.alpha * sums[column * n.out + k];
            int64_t index = image * s[0] + k * s[1] + row * s[2] + column * s[3];
            if (c.beta != 0) value += c.beta * read(memory.y, c.y.type, index);
            if (arithmetic.noise != 0) value *= 1 + arithmetic.noise * (float(random() % 1000) / 500 - 1);
            if (c.bias) value += bias[size_t(k)];
            // Not a number stays what it is.
            if (c.relu) value = value < 0 ? 0 : value;
            write(memory.y, c.y.type, index, value);
        }
}

void forward(const Convolution& c, const Arithmetic& arithmetic, const Memory& memory) {
    const Shape n = shape_of(c);
    const auto x = gathered(c.x, memory.x, {0, 2, 3, 1}, arithmetic.of_inputs);
    const auto w = gathered(c.w, memory.w, {2, 3, 1, 0}, arithmetic.of_inputs);  // tap by tap, in by out
    const auto bias = c.bias ? gathered(*c.bias, memory.bias, {0, 2, 3, 1}, Rounding::NONE) : std::vector<float>();
    const int64_t taps = n.kernel_height * n.kernel_width;
    halves(n.images * n.rows, [&](int64_t from, int64_t to) {
        std::vector<float> sums(size_t(n.columns * n.out));
        std::minstd_rand random{std::random_device{}()};
        for (int64_t line = from; line < to; line++) {
            const int64_t image = line / n.rows, row = line % n.rows;
            std::fill(sums.begin(), sums.end(), 0.0f);
            for (int64_t t = 0; t < taps; t++) {
                const int64_t tap = arithmetic.backwards ? taps - 1 - t : t;
                const int64_t y = seen(c, 0, row, tap / n.kernel_width);
                if (y < 0 || y >= n.height) continue;
                const float* kernel = &w[size_t(tap * n.channels * n.out)];
                for (int64_t column = 0; column < n.columns; column++) {
                    const int64_t at = seen(c, 1, column, tap % n.kernel_width);
                    if (at < 0 || at >= n.width) continue;
                    const float* pixel = &x[size_t(((image * n.height + y) * n.width + at) * n.channels)];
                    float* __restrict__ sum = &sums[size_t(column * n.out)];
                    int64_t i = 0;
                    for (; i + 4 <= n.channels; i += 4) {
                        const float a = pixel[i], b = pixel[i + 1], e = pixel[i + 2], f = pixel[i + 3];
                        const float* __restrict__ u = kernel + i * n.out, * __restrict__ v = u + n.out, * __restrict__ p = v + n.out, * __restrict__ q = p + n.out;
                        for (int64_t k = 0; k < n.out; k++) sum[k] += a * u[k] + b * v[k] + e * p[k] + f * q[k];
                    }
                    for (; i < n.channels; i++)
                        for (int64_t k = 0; k < n.out; k++) sum[k] += pixel[i] * kernel[i * n.out + k];
                }
            }
            finish_row(c, arithmetic, memory, bias, sums.data(), image, row, random);
        }
    });
}

// The same taps the other way: what a pixel gave to each output, it gets back.
void data_gradient(const Convolution& c, const Arithmetic& arithmetic, const Memory& memory) {
    const Shape n = shape_of(c);
    const auto y = gathered(c.y, memory.y, {0, 2, 3, 1}, arithmetic.of_inputs);
    const auto w = gathered(c.w, memory.w, {2, 3, 0, 1}, arithmetic.of_inputs);  // tap by tap, out by in
    halves(n.images, [&](int64_t from, int64_t to) {
        for (int64_t image = from; image < to; image++) {
            std::vector<float> sums(size_t(n.height * n.width * n.channels), 0.0f);
            for (int64_t tap = 0; tap < n.kernel_height * n.kernel_width; tap++)
                for (int64_t row = 0; row < n.rows; row++)
                    for (int64_t column = 0; column < n.columns; column++) {
                        const int64_t up = seen(c, 0, row, tap / n.kernel_width),
                                      along = seen(c, 1, column, tap % n.kernel_width);
                        if (up < 0 || up >= n.height || along < 0 || along >= n.width) continue;
                        const float* given = &y[size_t(((image * n.rows + row) * n.columns + column) * n.out)];
                        float* __restrict__ sum = &sums[size_t((up * n.width + along) * n.channels)];
                        for (int64_t k = 0; k < n.out; k++) {
                            const float* __restrict__ kernel = &w[size_t((tap * n.out + k) * n.channels)];
                            for (int64_t i = 0; i < n.channels; i++) sum[i] += given[k] * kernel[i];
                        }
                    }
            const auto& s = c.x.strides;
            for (int64_t pixel = 0; pixel < n.height * n.width; pixel++)
                for (int64_t i = 0; i < n.channels; i++) {
                    const int64_t index = image * s[0] + i * s[1] + pixel / n.width * s[2] + pixel % n.width * s[3];
                    const float before = c.beta != 0 ? c.beta * read(memory.x, c.x.type, index) : 0;
                    write(memory.written_x, c.x.type, index, c.alpha * sums[size_t(pixel * n.channels + i)] + before);
                }
        }
    });
}

void filter_gradient(const Convolution& c, const Arithmetic& arithmetic, const Memory& memory) {
    const Shape n = shape_of(c);
    const auto x = gathered(c.x, memory.x, {0, 2, 3, 1}, arithmetic.of_inputs);
    const auto y = gathered(c.y, memory.y, {0, 2, 3, 1}, arithmetic.of_inputs);
    halves(n.kernel_height * n.kernel_width, [&](int64_t from, int64_t to) {
        for (int64_t tap = from; tap < to; tap++) {
            std::vector<float> sums(size_t(n.out * n.channels), 0.0f);
            for (int64_t pixel = 0; pixel < n.images * n.rows * n.columns; pixel++) {
                const int64_t image = pixel / (n.rows * n.columns), row = pixel / n.columns % n.rows, column = pixel % n.columns;
                const int64_t up = seen(c, 0, row, tap / n.kernel_width), along = seen(c, 1, column, tap % n.kernel_width);
                if (up < 0 || up >= n.height || along < 0 || along >= n.width) continue;
                const float* given = &y[size_t(pixel * n.out)];
                const float* __restrict__ saw = &x[size_t(((image * n.height + up) * n.width + along) * n.channels)];
                for (int64_t k = 0; k < n.out; k++) {
                    float* __restrict__ sum = &sums[size_t(k * n.channels)];
                    for (int64_t i = 0; i < n.channels; i++) sum[i] += given[k] * saw[i];
                }
            }
            const auto& s = c.w.strides;
            for (int64_t k = 0; k < n.out; k++)
                for (int64_t i = 0; i < n.channels; i++) {
                    const int64_t index = k * s[0] + i * s[1] + tap / n.kernel_width * s[2] + tap % n.kernel_width * s[3];
                    const float before = c.beta != 0 ? c.beta * read(memory.w, c.w.type, index) : 0;
                    write(memory.written_w, c.w.type, index, c.alpha * sums[size_t(k * n.channels + i)] + before);
                }
        }
    });
}

}  // namespace

void compute(const Convolution& convolution, const Arithmetic& arithmetic, const Memory& memory) {
    switch (convolution.direction) {
        case Direction::FORWARD: return forward(convolution, arithmetic, memory);
        case Direction::DATA_GRADIENT: return data_gradient(convolution, arithmetic, memory);
        case Direction::FILTER_GRADIENT: return filter_gradient(convolution, arithmetic, memory);
    }
}

}  // namespace standin
