// Views of images: a block of 256 threads each. What is drawn of a view is drawn on the host, and what is computed is
// what `view.rs` computes on a CPU, operation for operation: every product and sum is rounded by itself, never fused, and
// the one long sum, the mean of the contrast, has the CPU's order. So the views are the same bits on both.

#define THREADS 256
// The largest view whose pixels the threads hold in registers, and how many each of them then holds.
#define SMALL (32 * 32)
#define EACH (SMALL / THREADS)
// Partial sums of a mean, as `colour.rs`.
#define LANES 16

// What is drawn of one view: eight words, as `cuda.rs` packs them.
struct View {
    unsigned image;
    unsigned corner; // top << 16 | left
    unsigned extent; // height << 16 | width
    // 1: flip, 2: grey, 4: jitter; the parts of the jitter in their order from bit 8 on, four bits each
    unsigned flags;
    float brightness, contrast, saturation, hue;
};

__device__ __forceinline__ float times(float a, float b) {
    return __fmul_rn(a, b);
}

__device__ __forceinline__ float plus(float a, float b) {
    return __fadd_rn(a, b);
}

__device__ __forceinline__ float minus(float a, float b) {
    return __fadd_rn(a, -b);
}

__device__ __forceinline__ float over(float a, float b) {
    return __fdiv_rn(a, b);
}

__device__ __forceinline__ float within_0_and_1(float x) {
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

// The source pixels that a target pixel takes from, by PyTorch's antialiased bilinear filter: `resize.rs`, `window`.
struct Window {
    float centre, sharpness, share;
    int first, last;
};

__device__ __forceinline__ float unscaled_weight(const Window& window, int pixel) {
    float distance = times(plus(minus((float)pixel, window.centre), 0.5f), window.sharpness);
    return within_0_and_1(minus(1.0f, fabsf(distance)));
}

__device__ __forceinline__ float weight(const Window& window, int pixel) {
    return times(unscaled_weight(window, pixel), window.share);
}

__device__ Window window_of(int index, int from, int size) {
    Window window;
    float scale = over((float)from, (float)size);
    float support = scale > 1.0f ? scale : 1.0f;
    window.sharpness = over(1.0f, support);
    window.centre = times(scale, plus((float)index, 0.5f));
    int first = (int)plus(minus(window.centre, support), 0.5f);
    int last = (int)plus(plus(window.centre, support), 0.5f);
    window.first = first < 0 ? 0 : first;
    window.last = last > from ? from : last;
    float total = 0.0f;
    for (int pixel = window.first; pixel < window.last; pixel++) total = plus(total, unscaled_weight(window, pixel));
    window.share = over(1.0f, total);
    return window;
}

struct Colour {
    float red, green, blue;
};

__device__ __forceinline__ float grey_of(Colour c) {
    return plus(plus(times(0.2989f, c.red), times(0.587f, c.green)), times(0.114f, c.blue));
}

__device__ __forceinline__ float blend(float value, float other, float ratio) {
    return within_0_and_1(plus(times(value, ratio), times(other, minus(1.0f, ratio))));
}

__device__ __forceinline__ Colour blend(Colour c, float other, float ratio) {
    return {blend(c.red, other, ratio), blend(c.green, other, ratio), blend(c.blue, other, ratio)};
}

__device__ __forceinline__ Colour brightened(Colour c, float factor) {
    return {within_0_and_1(times(c.red, factor)), within_0_and_1(times(c.green, factor)),
            within_0_and_1(times(c.blue, factor))};
}

__device__ __forceinline__ float below_six(float sixths) {
    return sixths >= 6.0f ? minus(sixths, 6.0f) : sixths;
}

__device__ __forceinline__ float fall_of(float k) {
    k = below_six(k);
    float fall = minus(4.0f, k);
    return within_0_and_1(k < fall ? k : fall);
}

__device__ __forceinline__ float larger(float a, float b) {
    return a > b ? a : b;
}

// `hue.rs`, where the formula stands.
__device__ Colour turned(Colour c, float turn) {
    turn = times(6.0f, turn);
    turn = turn < 0.0f ? plus(turn, 6.0f) : turn;
    float max = larger(larger(c.red, c.green), c.blue);
    float range = plus(max, larger(larger(-c.red, -c.green), -c.blue));
    float per_range = over(1.0f, range > 0.0f ? range : 1.0f);
    float difference, third;
    if (max == c.red) {
        difference = minus(c.green, c.blue), third = 0.0f;
    } else if (max == c.green) {
        difference = minus(c.blue, c.red), third = 2.0f;
    } else {
        difference = minus(c.red, c.green), third = 4.0f;
    }
    float hue = below_six(plus(plus(times(difference, per_range), third), turn));
    return {minus(max, times(range, fall_of(plus(hue, 5.0f)))), minus(max, times(range, fall_of(plus(hue, 3.0f)))),
            minus(max, times(range, fall_of(plus(hue, 1.0f))))};
}

// A view in the making. Of a thread are the pixels `thread`, `thread` + THREADS and so on, row by row.
struct Place {
    float* into; // (size, size, 3)
    int size, pixels;
};

__device__ __forceinline__ Colour load(const float* place) {
    return {place[0], place[1], place[2]};
}

__device__ __forceinline__ void store(float* place, Colour c) {
    place[0] = c.red, place[1] = c.green, place[2] = c.blue;
}

// The mean of `grey_at` of all pixels, which are numbered column by column, as they are added up on a CPU. Every thread
// of the block must come here, and what `grey_at` reads must have been written before a barrier.
template <typename F> __device__ float mean(const Place& place, float* sums, F grey_at) {
    int thread = threadIdx.x;
    if (thread < LANES) {
        float sum = 0.0f;
        for (int pixel = thread; pixel < place.pixels; pixel += LANES) sum = plus(sum, grey_at(pixel));
        sums[thread] = sum;
    }
    __syncthreads();
    float sum = sums[0];
    for (int lane = 1; lane < LANES; lane++) sum = plus(sum, sums[lane]);
    return over(sum, (float)place.pixels);
}

// The colours of a small view: each thread's in its registers.
struct Small {
    Place place;
    Colour colours[EACH];

    template <typename F> __device__ void update(F change) {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int pixel = i * THREADS + threadIdx.x;
            if (pixel < place.pixels) colours[i] = change(colours[i], pixel);
        }
    }

    __device__ float mean_grey(float* sums) {
        __shared__ float greys[SMALL];
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int pixel = i * THREADS + threadIdx.x;
            if (pixel < place.pixels) greys[pixel % place.size * place.size + pixel / place.size] = grey_of(colours[i]);
        }
        __syncthreads();
        return mean(place, sums, [&](int pixel) { return greys[pixel]; });
    }
};

// The colours of a large view: where the view itself is to lie.
struct Large {
    Place place;

    template <typename F> __device__ void update(F change) {
        for (int pixel = threadIdx.x; pixel < place.pixels; pixel += THREADS) {
            store(place.into + 3 * pixel, change(load(place.into + 3 * pixel), pixel));
        }
    }

    __device__ float mean_grey(float* sums) {
        __syncthreads();
        return mean(place, sums, [&](int pixel) {
            return grey_of(load(place.into + 3 * (pixel % place.size * place.size + pixel / place.size)));
        });
    }
};

// How colours are normalised: (colour - mean) * factor.
struct Scale {
    Colour mean, factor;
};

// images: (count, height, width, 3). views: (gridDim.x, size, size, 3), normalised.
template <typename Pixels>
__device__ void make(
    Pixels& pixels, const unsigned char* images, const View& view, int height, int width, const Scale& scale,
    float* sums) {
    const unsigned char* image = images + (size_t)view.image * height * width * 3;
    int top = view.corner >> 16, left = view.corner & 0xffff;
    int tall = view.extent >> 16, wide = view.extent & 0xffff, size = pixels.place.size;

    pixels.update([&](Colour, int pixel) {
        int y = pixel / size, x = pixel % size;
        Window down = window_of(y, tall, size), across = window_of(view.flags & 1 ? size - 1 - x : x, wide, size);
        Colour colour = {0.0f, 0.0f, 0.0f};
        for (int column = across.first; column < across.last; column++) {
            Colour sum = {0.0f, 0.0f, 0.0f};
            for (int row = down.first; row < down.last; row++) {
                const unsigned char* place = image + ((size_t)(top + row) * width + left + column) * 3;
                float share = weight(down, row);
                sum.red = plus(sum.red, times(share, times((float)place[0], 1.0f / 255.0f)));
                sum.green = plus(sum.green, times(share, times((float)place[1], 1.0f / 255.0f)));
                sum.blue = plus(sum.blue, times(share, times((float)place[2], 1.0f / 255.0f)));
            }
            float share = weight(across, column);
            colour.red = plus(colour.red, times(share, sum.red));
            colour.green = plus(colour.green, times(share, sum.green));
            colour.blue = plus(colour.blue, times(share, sum.blue));
        }
        return colour;
    });
    // The flags are the block's, so that all of its threads meet at the barriers.
    if (view.flags & 4) {
        for (int turn = 0; turn < 4; turn++) {
            int part = view.flags >> (8 + 4 * turn) & 15;
            float mean = part == 1 ? pixels.mean_grey(sums) : 0.0f;
            pixels.update([&](Colour c, int) {
                return part == 0   ? brightened(c, view.brightness)
                       : part == 1 ? blend(c, mean, view.contrast)
                       : part == 2 ? blend(c, grey_of(c), view.saturation)
                                   : turned(c, view.hue);
            });
        }
    }
    float* into = pixels.place.into;
    pixels.update([&](Colour c, int pixel) {
        if (view.flags & 2) c.red = c.green = c.blue = grey_of(c);
        Colour normalised = {times(minus(c.red, scale.mean.red), scale.factor.red),
                             times(minus(c.green, scale.mean.green), scale.factor.green),
                             times(minus(c.blue, scale.mean.blue), scale.factor.blue)};
        store(into + 3 * pixel, normalised);
        return normalised;
    });
}

__device__ Place place_of(float* views, int size) {
    return {views + (size_t)blockIdx.x * size * size * 3, size, size * size};
}

// Views of at most SMALL pixels.
extern "C" __global__ void __launch_bounds__(THREADS, 4) small_views(
    float* views, const unsigned char* images, const View* drawn, int height, int width, int size, float mean_red,
    float mean_green, float mean_blue, float factor_red, float factor_green, float factor_blue) {
    __shared__ float sums[LANES];
    Small pixels = {place_of(views, size)};
    Scale scale = {{mean_red, mean_green, mean_blue}, {factor_red, factor_green, factor_blue}};
    make(pixels, images, drawn[blockIdx.x], height, width, scale, sums);
}

extern "C" __global__ void large_views(
    float* views, const unsigned char* images, const View* drawn, int height, int width, int size, float mean_red,
    float mean_green, float mean_blue, float factor_red, float factor_green, float factor_blue) {
    __shared__ float sums[LANES];
    Large pixels = {place_of(views, size)};
    Scale scale = {{mean_red, mean_green, mean_blue}, {factor_red, factor_green, factor_blue}};
    make(pixels, images, drawn[blockIdx.x], height, width, scale, sums);
}
