// The one kernel of candle's own that is met on the engine's borders, written anew: copying a tensor that is not contiguous.
#include "modules.h"

namespace standin {

static void copy_by_strides(size_t count, size_t axes, const size_t* sizes_then_strides, const float* from, float* to) {
    const size_t *sizes = sizes_then_strides, *strides = sizes_then_strides + axes;
    size_t at = size_t(block_index.x) * block_size.x + thread_index.x;
    for (; at < count; at += size_t(block_size.x) * grid_size.x) {
        size_t rest = at, index = at;
        if (sizes_then_strides) {
            index = 0;
            for (size_t axis = axes; axis-- > 0; rest /= sizes[axis]) index += rest % sizes[axis] * strides[axis];
        }
        to[at] = from[index];
    }
}

static const bool known = (add({kernel("ucopy_f32", copy_by_strides)}), true);

}  // namespace standin
