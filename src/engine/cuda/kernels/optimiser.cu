// One step of an optimiser on float32 parameters, as src/engine/trainable/optimiser.rs says it; and the sum of the squares of all
// gradients. A thread takes one number, and sets its gradient to zero.

#include "number.cuh"

extern "C" __global__ void sgd(
    float* values, float* gradients, float* velocities, long long count, float momentum, float decay, float rate,
    float scale) {
    const long long at = position();
    if (at >= count) return;
    const float velocity = momentum * velocities[at] + (scale * gradients[at] + decay * values[at]);
    velocities[at] = velocity;
    values[at] -= rate * velocity;
    gradients[at] = 0.0f;
}

extern "C" __global__ void adamw(
    float* values, float* gradients, float* means, float* squares, long long count, float beta1, float beta2,
    float epsilon, float keep, float step_size, float widen, float scale) {
    const long long at = position();
    if (at >= count) return;
    const float gradient = scale * gradients[at];
    const float mean = means[at] + (1.0f - beta1) * (gradient - means[at]);
    const float square = beta2 * squares[at] + (1.0f - beta2) * gradient * gradient;
    means[at] = mean;
    squares[at] = square;
    values[at] = keep * values[at] - step_size * mean / (sqrtf(square) * widen + epsilon);
    gradients[at] = 0.0f;
}

// A thread sums the squares of every `threads`th number: neighbouring threads neighbours, in an order that is always the same.
extern "C" __global__ void sum_squares(const float* numbers, double* sums, long long count, int threads) {
    const long long thread = position();
    if (thread >= threads) return;
    double sum = 0.0;
    for (long long at = thread; at < count; at += threads) {
        sum += static_cast<double>(numbers[at]) * static_cast<double>(numbers[at]);
    }
    sums[thread] = sum;
}
