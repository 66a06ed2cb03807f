// Sums of columns: [rows, columns] to [rows / piece, columns], float32; run until one row is left. Pieces are fixed, and so are the bits.

#include "number.cuh"

// A thread takes a column through the rows of a piece, in their order; neighbouring threads neighbouring columns.
extern "C" __global__ void sum_rows(const float* input, float* output, long long rows, int piece, int columns) {
    const long long at = position();
    const int column = static_cast<int>(at % columns);
    const long long first = at / columns * piece;
    if (first >= rows) return;
    const long long end = first + piece < rows ? first + piece : rows;
    float sum = 0.0f;
#pragma unroll 4
    for (long long row = first; row < end; ++row) sum += input[row * columns + column];
    output[at] = sum;
}
