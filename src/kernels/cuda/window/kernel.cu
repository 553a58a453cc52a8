// A window of size x size over images (N, height, width, channels), as ops::window::Window. A patch is what the window
// sees at a place, (size, size, channels) flattened, zeros outside of the image and from `patch` to `stride_of_patch`.
// V is the type of patches and packed weights; images and values are float or bfloat16.

struct Window {
    int height, width, channels, size, stride, padding, down, across, patch, stride_of_patch;
};

template <typename T> __device__ void gather(V* patches, const T* images, index_t places, Window window) {
    index_t len = places * window.stride_of_patch;
    for (index_t at = thread(); at < len; at += threads()) {
        index_t place = at / window.stride_of_patch;
        int within = (int)(at - place * window.stride_of_patch);
        int channel = within % window.channels, position = within / window.channels;
        int column = (int)(place % window.across), row = (int)(place / window.across % window.down);
        index_t image = place / window.across / window.down;
        int y = row * window.stride - window.padding + position / window.size;
        int x = column * window.stride - window.padding + position % window.size;
        float value = 0.0f;
        if (within < window.patch && y >= 0 && y < window.height && x >= 0 && x < window.width)
            value = to_float(images[((image * window.height + y) * window.width + x) * window.channels + channel]);
        store(&patches[at], value);
    }
}

extern "C" __global__ void gather_float(V* patches, const float* images, index_t places, Window window) {
    gather(patches, images, places, window);
}

extern "C" __global__ void gather_bfloat16(V* patches, const bfloat16* images, index_t places, Window window) {
    gather(patches, images, places, window);
}

// The same four channels at a time, where channels and stride_of_patch are multiples of four and types the same.
extern "C" __global__ void gather_four(V* patches, const V* images, index_t places, Window window) {
    int of_patch = window.stride_of_patch / 4, of_pixel = window.channels / 4;
    index_t len = places * of_patch;
    const Pack<V, 4>* from = reinterpret_cast<const Pack<V, 4>*>(images);
    for (index_t at = thread(); at < len; at += threads()) {
        index_t place = at / of_patch;
        int within = (int)(at - place * of_patch);
        int channel = within % of_pixel, position = within / of_pixel;
        int column = (int)(place % window.across), row = (int)(place / window.across % window.down);
        index_t image = place / window.across / window.down;
        int y = row * window.stride - window.padding + position / window.size;
        int x = column * window.stride - window.padding + position % window.size;
        Pack<V, 4> values = {};
        if (position < window.size * window.size && y >= 0 && y < window.height && x >= 0 && x < window.width)
            values = from[((image * window.height + y) * window.width + x) * of_pixel + channel];
        reinterpret_cast<Pack<V, 4>*>(patches)[at] = values;
    }
}

// The adjoint, image by image: each value of an image adds up what lies over it in the patches that see it, in the
// order of their positions. Then a bias (channels), if given, and the activation.
template <typename T>
__device__ void scatter(T* images, const V* patches, index_t len, Window window, const float* bias, int activation, float slope) {
    for (index_t at = thread(); at < len; at += threads()) {
        int channel = (int)(at % window.channels);
        index_t pixel = at / window.channels;
        int x = (int)(pixel % window.width), y = (int)(pixel / window.width % window.height);
        index_t image = pixel / window.width / window.height;
        float sum = 0.0f;
        for (int down = 0; down < window.size; down++) {
            int row = y + window.padding - down;
            if (row < 0 || row % window.stride != 0 || row / window.stride >= window.down) continue;
            for (int right = 0; right < window.size; right++) {
                int column = x + window.padding - right;
                if (column < 0 || column % window.stride != 0 || column / window.stride >= window.across) continue;
                index_t place = (image * window.down + row / window.stride) * window.across + column / window.stride;
                sum += to_float(patches[place * window.stride_of_patch + (down * window.size + right) * window.channels + channel]);
            }
        }
        store(&images[at], activated(bias ? sum + bias[channel] : sum, activation, slope));
    }
}

extern "C" __global__ void scatter_float(float* images, const V* patches, index_t len, Window window, const float* bias, int activation, float slope) {
    scatter(images, patches, len, window, bias, activation, slope);
}

extern "C" __global__ void scatter_bfloat16(bfloat16* images, const V* patches, index_t len, Window window, const float* bias, int activation, float slope) {
    scatter(images, patches, len, window, bias, activation, slope);
}

// A weight (features, channels, area) as (features, area, channels), each feature's row padded with zeros to `row`.
extern "C" __global__ void pack_weight(V* packed, const float* weight, int features, int channels, int area, int row) {
    index_t len = (index_t)features * row;
    for (index_t at = thread(); at < len; at += threads()) {
        int within = (int)(at % row);
        index_t feature = at / row;
        int channel = within % channels, position = within / channels;
        store(&packed[at], position < area ? weight[(feature * channels + channel) * area + position] : 0.0f);
    }
}

// And back: packed rows of `row` to a weight (features, channels, area).
template <typename T>
__device__ void unpack(float* weight, const T* packed, int features, int channels, int area, int row) {
    index_t len = (index_t)features * channels * area;
    for (index_t at = thread(); at < len; at += threads()) {
        int position = (int)(at % area), channel = (int)(at / area % channels);
        index_t feature = at / area / channels;
        weight[at] = to_float(packed[feature * row + (index_t)position * channels + channel]);
    }
}

extern "C" __global__ void unpack_float(float* weight, const float* packed, int features, int channels, int area, int row) {
    unpack(weight, packed, features, channels, area, row);
}

extern "C" __global__ void unpack_bfloat16(float* weight, const bfloat16* packed, int features, int channels, int area, int row) {
    unpack(weight, packed, features, channels, area, row);
}
