//! The transforms of the data in minimal filtering, on as many channels at a time as a vector holds.
//!
//! Plain loops over arrays, without closures: a closure that the compiler does not inline is compiled without the
//! instructions of its caller, and each vector operation in it becomes a call (measured: three times slower).

use pulp::{Simd, WithSimd};

use super::super::minimal_filtering::{Coefficients, MinimalFilter};
use super::matrix_product::prefetch;
use super::{load, multiply_add, store};

/// Numbers in a cache line. With each the next tile's pixels are asked for: they lie apart, and come from far.
const LINE: usize = 16;

/// B' of some tiles: from pixels to as many numbers at the points.
pub struct InputTransform<'a> {
    /// The filter, along each axis that `square` says.
    pub filter: MinimalFilter,
    /// Along both axes, or along one.
    pub square: bool,
    /// [tiles, places]: where each pixel of each tile begins; n or n x n places.
    pub pixels: &'a [*const f32],
    /// Readable from each pixel on; a multiple of the vector.
    pub channels: usize,
    /// [places, panels, tiles, panel]: where the numbers go.
    pub values: *mut f32,
    /// How far apart they are.
    pub steps: Steps,
}

/// A of some tiles: from the gradients of pixels to as many numbers at the points, see `cpu::training::kernel_gradient`.
pub struct GradientTransform<'a> {
    /// The filter, along each axis that `square` says.
    pub filter: MinimalFilter,
    /// Along both axes, or along one.
    pub square: bool,
    /// [tiles, outputs]: where each pixel's gradient begins; m or m x m pixels.
    pub pixels: &'a [*const f32],
    /// Readable from each pixel on; a multiple of the vector.
    pub channels: usize,
    /// [places, panels, tiles, panel]: where the numbers go; n or n x n places.
    pub values: *mut f32,
    /// How far apart they are.
    pub steps: Steps,
}

/// Where numbers at the points go, channels in panels.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// From one place to the next.
    pub place: usize,
    /// Channels of a panel, a multiple of the vector.
    pub panel: usize,
    /// From one panel to the next.
    pub next_panel: usize,
    /// From one tile to the next.
    pub tile: usize,
}

impl Steps {
    /// Of a channel of a tile, at the first place.
    #[inline(always)]
    const fn at(&self, tile: usize, channel: usize) -> usize {
        channel / self.panel * self.next_panel + tile * self.tile + channel % self.panel
    }
}

/// A' of some tiles: from numbers at the points to pixels, max(floor, bias + number), the pixel before being added where it is
/// a part of the sum.
pub struct OutputTransform<'a> {
    /// The filter, along each axis that `square` says.
    pub filter: MinimalFilter,
    /// Along both axes, or along one.
    pub square: bool,
    /// [tiles, panels, places, panel]; n or n x n places.
    pub values: *const f32,
    /// Channels of a panel, which are so many numbers from one place to the next.
    pub panel: usize,
    /// Numbers from one panel of a tile to the next.
    pub panel_step: usize,
    /// [tiles, outputs]: where each pixel's channels go; m or m x m pixels.
    pub pixels: &'a [*mut f32],
    /// Whether what is at the pixels is a part of the sum.
    pub accumulate: bool,
    /// A multiple of the vector.
    pub channels: usize,
    /// At least `[channels]`.
    pub bias: &'a [f32],
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
}

pub(super) struct RunInput<'a, 'b>(pub(super) &'a InputTransform<'b>);
pub(super) struct RunOutput<'a, 'b>(pub(super) &'a OutputTransform<'b>);
pub(super) struct RunGradient<'a, 'b>(pub(super) &'a GradientTransform<'b>);

impl WithSimd for RunInput<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.0;
        // SAFETY: pointers and lengths are as InputTransform promises.
        unsafe {
            match (job.filter.points(), job.square) {
                (4, true) => input_square::<S, 1, 4>(simd, job),
                (4, false) => input_line::<S, 1, 4>(simd, job),
                (6, true) => input_square::<S, 2, 6>(simd, job),
                (6, false) => input_line::<S, 2, 6>(simd, job),
                (8, true) => input_square::<S, 3, 8>(simd, job),
                (8, false) => input_line::<S, 3, 8>(simd, job),
                (10, _) => input_line::<S, 4, 10>(simd, job),
                _ => input_line::<S, 5, 12>(simd, job),
            }
        }
    }
}

impl WithSimd for RunOutput<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.0;
        // SAFETY: pointers and lengths are as OutputTransform promises.
        unsafe {
            match (job.filter.points(), job.filter.outputs, job.square) {
                (4, 2, true) => output_square::<S, 1, 4, 2>(simd, job),
                (4, 2, false) => output_line::<S, 1, 4, 2>(simd, job),
                (4, _, true) => output_square::<S, 1, 4, 3>(simd, job),
                (4, _, false) => output_line::<S, 1, 4, 3>(simd, job),
                (6, 2, true) => output_square::<S, 2, 6, 2>(simd, job),
                (6, 2, false) => output_line::<S, 2, 6, 2>(simd, job),
                (6, _, true) => output_square::<S, 2, 6, 4>(simd, job),
                (6, _, false) => output_line::<S, 2, 6, 4>(simd, job),
                (8, 2, true) => output_square::<S, 3, 8, 2>(simd, job),
                (8, 2, false) => output_line::<S, 3, 8, 2>(simd, job),
                (8, 4, true) => output_square::<S, 3, 8, 4>(simd, job),
                (8, 4, false) => output_line::<S, 3, 8, 4>(simd, job),
                (8, _, true) => output_square::<S, 3, 8, 6>(simd, job),
                (8, _, false) => output_line::<S, 3, 8, 6>(simd, job),
                (10, _, _) => output_line::<S, 4, 10, 4>(simd, job),
                _ => output_line::<S, 5, 12, 6>(simd, job),
            }
        }
    }
}

impl WithSimd for RunGradient<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.0;
        // SAFETY: pointers and lengths are as GradientTransform promises.
        unsafe {
            match (job.filter.points(), job.filter.outputs, job.square) {
                (4, 2, true) => gradient_square::<S, 1, 4, 2>(simd, job),
                (4, 2, false) => gradient_line::<S, 1, 4, 2>(simd, job),
                (4, _, true) => gradient_square::<S, 1, 4, 3>(simd, job),
                (4, _, false) => gradient_line::<S, 1, 4, 3>(simd, job),
                (6, 2, true) => gradient_square::<S, 2, 6, 2>(simd, job),
                (6, 2, false) => gradient_line::<S, 2, 6, 2>(simd, job),
                (6, _, true) => gradient_square::<S, 2, 6, 4>(simd, job),
                (6, _, false) => gradient_line::<S, 2, 6, 4>(simd, job),
                (8, 2, true) => gradient_square::<S, 3, 8, 2>(simd, job),
                (8, 2, false) => gradient_line::<S, 3, 8, 2>(simd, job),
                (8, 4, true) => gradient_square::<S, 3, 8, 4>(simd, job),
                (8, 4, false) => gradient_line::<S, 3, 8, 4>(simd, job),
                (8, _, true) => gradient_square::<S, 3, 8, 6>(simd, job),
                (8, _, false) => gradient_line::<S, 3, 8, 6>(simd, job),
                (10, _, _) => gradient_line::<S, 4, 10, 4>(simd, job),
                _ => gradient_line::<S, 5, 12, 6>(simd, job),
            }
        }
    }
}

/// # Safety
/// As [`InputTransform`] promises.
#[inline(always)]
unsafe fn input_line<S: Simd, const P: usize, const N: usize>(simd: S, job: &InputTransform<'_>) {
    let transform = Transform::<S, P>::new(simd, &job.filter);
    let zero = simd.splat_f32s(0.0);
    let tiles = job.pixels.chunks_exact(N);
    let next = tiles.clone().skip(1).chain(tiles.clone().last());
    for (tile, (pixels, next)) in tiles.zip(next).enumerate() {
        for channel in (0..job.channels).step_by(S::F32_LANES) {
            if channel % LINE == 0 {
                for i in 0..N {
                    prefetch(next[i].wrapping_add(channel));
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                let mut line = [zero; N];
                for i in 0..N {
                    line[i] = load::<S>(pixels[i].add(channel));
                }
                let mut to = job.values.add(job.steps.at(tile, channel));
                for value in transform.input::<N>(line) {
                    store::<S>(to, value);
                    to = to.wrapping_add(job.steps.place);
                }
            }
        }
    }
}

/// # Safety
/// As [`InputTransform`] promises.
#[inline(always)]
unsafe fn input_square<S: Simd, const P: usize, const N: usize>(simd: S, job: &InputTransform<'_>) {
    let transform = Transform::<S, P>::new(simd, &job.filter);
    let zero = simd.splat_f32s(0.0);
    // Written as a whole before it is read, each time.
    let mut half = [[zero; N]; N];
    let tiles = job.pixels.chunks_exact(N * N);
    let next = tiles.clone().skip(1).chain(tiles.clone().last());
    for (tile, (pixels, next)) in tiles.zip(next).enumerate() {
        for channel in (0..job.channels).step_by(S::F32_LANES) {
            if channel % LINE == 0 {
                for i in 0..N * N {
                    prefetch(next[i].wrapping_add(channel));
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                // Rows first: their pixels lie side by side.
                for y in 0..N {
                    let mut row = [zero; N];
                    for x in 0..N {
                        row[x] = load::<S>(pixels[y * N + x].add(channel));
                    }
                    half[y] = transform.input::<N>(row);
                }
                let to = job.values.add(job.steps.at(tile, channel));
                for x in 0..N {
                    let mut column = [zero; N];
                    for y in 0..N {
                        column[y] = half[y][x];
                    }
                    let column = transform.input::<N>(column);
                    for y in 0..N {
                        store::<S>(to.wrapping_add((y * N + x) * job.steps.place), column[y]);
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`OutputTransform`] promises.
#[inline(always)]
unsafe fn output_line<S: Simd, const P: usize, const N: usize, const M: usize>(simd: S, job: &OutputTransform<'_>) {
    let transform = Transform::<S, P>::new(simd, &job.filter);
    let floor = simd.splat_f32s(job.floor);
    let zero = simd.splat_f32s(0.0);
    let panels = job.channels.div_ceil(job.panel);
    let tiles = job.pixels.chunks_exact(M);
    let next = tiles.clone().skip(1).chain(tiles.clone().last());
    for (tile, (pixels, next)) in tiles.zip(next).enumerate() {
        for channel in (0..job.channels).step_by(S::F32_LANES) {
            if channel % LINE == 0 {
                for i in 0..M {
                    prefetch(next[i].wrapping_add(channel));
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                let (panel, within) = (channel / job.panel, channel % job.panel);
                let from = job.values.add((tile * panels + panel) * job.panel_step + within);
                let bias = load::<S>(job.bias.as_ptr().add(channel));
                let mut line = [zero; N];
                for i in 0..N {
                    line[i] = load::<S>(from.add(i * job.panel));
                }
                let outputs = transform.output::<N, M>(line);
                for i in 0..M {
                    let to = pixels[i].add(channel);
                    let mut output = simd.add_f32s(outputs[i], bias);
                    if job.accumulate {
                        output = simd.add_f32s(load::<S>(to), output);
                    }
                    store::<S>(to, simd.max_f32s(output, floor));
                }
            }
        }
    }
}

/// # Safety
/// As [`OutputTransform`] promises.
#[inline(always)]
unsafe fn output_square<S: Simd, const P: usize, const N: usize, const M: usize>(simd: S, job: &OutputTransform<'_>) {
    let transform = Transform::<S, P>::new(simd, &job.filter);
    let floor = simd.splat_f32s(job.floor);
    let zero = simd.splat_f32s(0.0);
    // As above.
    let mut half = [[zero; M]; N];
    let panels = job.channels.div_ceil(job.panel);
    let tiles = job.pixels.chunks_exact(M * M);
    let next = tiles.clone().skip(1).chain(tiles.clone().last());
    for (tile, (pixels, next)) in tiles.zip(next).enumerate() {
        for channel in (0..job.channels).step_by(S::F32_LANES) {
            if channel % LINE == 0 {
                for i in 0..M * M {
                    prefetch(next[i].wrapping_add(channel));
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                let (panel, within) = (channel / job.panel, channel % job.panel);
                let from = job.values.add((tile * panels + panel) * job.panel_step + within);
                let bias = load::<S>(job.bias.as_ptr().add(channel));
                // Rows first, as they lie.
                for y in 0..N {
                    let mut row = [zero; N];
                    for x in 0..N {
                        row[x] = load::<S>(from.add((y * N + x) * job.panel));
                    }
                    half[y] = transform.output::<N, M>(row);
                }
                for x in 0..M {
                    let mut column = [zero; N];
                    for y in 0..N {
                        column[y] = half[y][x];
                    }
                    let column = transform.output::<N, M>(column);
                    for y in 0..M {
                        let to = pixels[y * M + x].add(channel);
                        let mut output = simd.add_f32s(column[y], bias);
                        if job.accumulate {
                            output = simd.add_f32s(load::<S>(to), output);
                        }
                        store::<S>(to, simd.max_f32s(output, floor));
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`GradientTransform`] promises.
#[inline(always)]
unsafe fn gradient_line<S: Simd, const P: usize, const N: usize, const M: usize>(simd: S, job: &GradientTransform<'_>) {
    let transform = Transform::<S, P>::new(simd, &job.filter);
    let zero = simd.splat_f32s(0.0);
    let tiles = job.pixels.chunks_exact(M);
    let next = tiles.clone().skip(1).chain(tiles.clone().last());
    for (tile, (pixels, next)) in tiles.zip(next).enumerate() {
        for channel in (0..job.channels).step_by(S::F32_LANES) {
            if channel % LINE == 0 {
                for i in 0..M {
                    prefetch(next[i].wrapping_add(channel));
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                let mut line = [zero; M];
                for i in 0..M {
                    line[i] = load::<S>(pixels[i].add(channel));
                }
                let mut to = job.values.add(job.steps.at(tile, channel));
                for value in transform.gradient::<N, M>(line) {
                    store::<S>(to, value);
                    to = to.wrapping_add(job.steps.place);
                }
            }
        }
    }
}

/// # Safety
/// As [`GradientTransform`] promises.
#[inline(always)]
unsafe fn gradient_square<S: Simd, const P: usize, const N: usize, const M: usize>(
    simd: S,
    job: &GradientTransform<'_>,
) {
    let transform = Transform::<S, P>::new(simd, &job.filter);
    let zero = simd.splat_f32s(0.0);
    // Written as a whole before it is read, each time.
    let mut half = [[zero; N]; M];
    let tiles = job.pixels.chunks_exact(M * M);
    let next = tiles.clone().skip(1).chain(tiles.clone().last());
    for (tile, (pixels, next)) in tiles.zip(next).enumerate() {
        for channel in (0..job.channels).step_by(S::F32_LANES) {
            if channel % LINE == 0 {
                for i in 0..M * M {
                    prefetch(next[i].wrapping_add(channel));
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                for y in 0..M {
                    let mut row = [zero; M];
                    for x in 0..M {
                        row[x] = load::<S>(pixels[y * M + x].add(channel));
                    }
                    half[y] = transform.gradient::<N, M>(row);
                }
                let to = job.values.add(job.steps.at(tile, channel));
                for x in 0..N {
                    let mut column = [zero; M];
                    for y in 0..M {
                        column[y] = half[y][x];
                    }
                    let column = transform.gradient::<N, M>(column);
                    for y in 0..N {
                        store::<S>(to.wrapping_add((y * N + x) * job.steps.place), column[y]);
                    }
                }
            }
        }
    }
}

/// The most outputs of a filter.
const OUTPUTS: usize = 6;

/// The coefficients, each in all lanes of a vector.
struct Transform<S: Simd, const P: usize> {
    simd: S,
    pairs: [S::f32s; P],
    negative: [S::f32s; P],
    whole: [S::f32s; P],
    part: [[S::f32s; P]; P],
    powers: [[S::f32s; P]; OUTPUTS],
}

impl<S: Simd, const P: usize> Transform<S, P> {
    #[inline(always)]
    fn new(simd: S, filter: &MinimalFilter) -> Self {
        let Coefficients { pairs, whole, part } = filter.coefficients::<P>();
        let zero = simd.splat_f32s(0.0);
        let mut transform = Self {
            simd,
            pairs: [zero; P],
            negative: [zero; P],
            whole: [zero; P],
            part: [[zero; P]; P],
            powers: [[zero; P]; OUTPUTS],
        };
        for p in 0..P {
            transform.pairs[p] = simd.splat_f32s(pairs[p]);
            transform.negative[p] = simd.splat_f32s(-pairs[p]);
            transform.whole[p] = simd.splat_f32s(whole[p]);
            for k in 0..P {
                transform.part[p][k] = simd.splat_f32s(part[p][k]);
            }
            let mut power = 1.0;
            for i in 0..OUTPUTS {
                transform.powers[i][p] = simd.splat_f32s(power);
                power *= pairs[p];
            }
        }
        transform
    }

    /// B' x, where N = 2 P + 2. Even and odd parts apart, see [`super::super::minimal_filtering`].
    #[inline(always)]
    fn input<const N: usize>(&self, x: [S::f32s; N]) -> [S::f32s; N] {
        let simd = self.simd;
        let mut y = x;
        let (mut zero, mut infinity) = (x[2 * P], x[2 * P + 1]);
        for k in 0..P {
            zero = multiply_add(simd, self.whole[k], x[2 * k], zero);
            infinity = multiply_add(simd, self.whole[k], x[2 * k + 1], infinity);
        }
        y[0] = zero;
        y[N - 1] = infinity;
        for p in 0..P {
            let (mut even, mut odd) = (x[2 * P], x[2 * P - 1]);
            for k in 0..P - 1 {
                even = multiply_add(simd, self.part[p][k], x[2 * k + 2], even);
                odd = multiply_add(simd, self.part[p][k], x[2 * k + 1], odd);
            }
            y[2 * p + 1] = multiply_add(simd, self.pairs[p], odd, even);
            y[2 * p + 2] = multiply_add(simd, self.negative[p], odd, even);
        }
        y
    }

    /// A' x: even powers see the sums of pairs, odd ones their differences.
    #[inline(always)]
    fn output<const N: usize, const M: usize>(&self, x: [S::f32s; N]) -> [S::f32s; M] {
        let simd = self.simd;
        let (mut sums, mut differences) = (self.pairs, self.pairs);
        for p in 0..P {
            sums[p] = simd.add_f32s(x[2 * p + 1], x[2 * p + 2]);
            differences[p] = simd.sub_f32s(x[2 * p + 1], x[2 * p + 2]);
        }
        let mut y = [x[0]; M];
        for p in 0..P {
            y[0] = simd.add_f32s(y[0], sums[p]);
        }
        for i in 1..M {
            let of = if i % 2 == 0 { &sums } else { &differences };
            y[i] = simd.mul_f32s(self.powers[i][0], of[0]);
            for p in 1..P {
                y[i] = multiply_add(simd, self.powers[i][p], of[p], y[i]);
            }
        }
        y[M - 1] = simd.add_f32s(y[M - 1], x[N - 1]);
        y
    }

    /// A x: the polynomial with these coefficients at each point, its even and odd part apart.
    #[inline(always)]
    fn gradient<const N: usize, const M: usize>(&self, x: [S::f32s; M]) -> [S::f32s; N] {
        let simd = self.simd;
        let mut y = [x[0]; N];
        y[N - 1] = x[M - 1];
        for p in 0..P {
            let (mut even, mut odd) = (x[0], simd.mul_f32s(self.powers[1][p], x[1]));
            for i in 2..M {
                if i % 2 == 0 {
                    even = multiply_add(simd, self.powers[i][p], x[i], even);
                } else {
                    odd = multiply_add(simd, self.powers[i][p], x[i], odd);
                }
            }
            y[2 * p + 1] = simd.add_f32s(even, odd);
            y[2 * p + 2] = simd.sub_f32s(even, odd);
        }
        y
    }
}
