// What every function of the driver's begins with.
#pragma once

#include "streams.h"

#define NEEDS_A_CONTEXT \
    STANDIN_LOCKED;     \
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT
// Work goes to a stream of the context that is current.
#define NEEDS_A_STREAM(stream)      \
    NEEDS_A_CONTEXT;                \
    stream = stream_called(stream); \
    if (stream->context != current()) return CUDA_ERROR_INVALID_CONTEXT
#define NEEDS_NO_CAPTURE \
    if (CUresult refused = refuse_during_capture()) return refused
#define REQUIRES(condition) \
    if (!(condition)) return CUDA_ERROR_INVALID_VALUE
