// Windows of size x size, `stride` apart, over images (N, height, width, channels) with `padding` pixels of no value
// around them. There are down x across windows an image.

// The largest value of each window, and its position in the window. NaN is larger than every number, and the last wins.
extern "C" __global__ void max_pool(
    V* y, unsigned* winners, const V* x, index_t len, int height, int width, int channels, int size, int stride,
    int padding, int down, int across) {
    for (index_t at = thread(); at < len; at += threads()) {
        int channel = (int)(at % channels);
        index_t place = at / channels;
        int left = (int)(place % across) * stride - padding, top = (int)(place / across % down) * stride - padding;
        const V* image = x + place / across / down * height * width * channels + channel;
        float largest = 0.0f;
        bool is_first = true;
        unsigned winner = 0;
        for (int position = 0; position < size * size; position++) {
            int row = top + position / size, column = left + position % size;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            float value = to_float(image[((index_t)row * width + column) * channels]);
            if (is_first || value > largest || value != value) {
                largest = value;
                winner = position;
                is_first = false;
            }
        }
        store(&y[at], largest);
        winners[at] = winner;
    }
}

// The values of other images at the winners of each window.
extern "C" __global__ void max_pool_at_winners(
    V* y, const V* x, const unsigned* winners, index_t len, int height, int width, int channels, int size, int stride,
    int padding, int down, int across) {
    for (index_t at = thread(); at < len; at += threads()) {
        int channel = (int)(at % channels);
        index_t place = at / channels;
        int row = (int)(place / across % down) * stride - padding + (int)(winners[at] / size);
        int column = (int)(place % across) * stride - padding + (int)(winners[at] % size);
        const V* image = x + place / across / down * height * width * channels + channel;
        y[at] = image[((index_t)row * width + column) * channels];
    }
}

// The gradient of x: a window's goes to its winner. The windows of a pixel are added in their order.
extern "C" __global__ void max_pool_gradient(
    V* into, const V* gradient, const unsigned* winners, index_t len, int height, int width, int channels, int size,
    int stride, int padding, int down, int across) {
    for (index_t at = thread(); at < len; at += threads()) {
        int channel = (int)(at % channels);
        index_t pixel = at / channels;
        int x = (int)(pixel % width) + padding, y = (int)(pixel / width % height) + padding;
        index_t image = pixel / width / height;
        float value = 0.0f;
        for (int row = y < size ? 0 : (y - size) / stride + 1; row < down && row * stride <= y; row++) {
            for (int column = x < size ? 0 : (x - size) / stride + 1; column < across && column * stride <= x; column++) {
                index_t window = ((image * down + row) * across + column) * channels + channel;
                unsigned position = (y - row * stride) * size + x - column * stride;
                if (winners[window] == position) value += to_float(gradient[window]);
            }
        }
        store(&into[at], value);
    }
}
