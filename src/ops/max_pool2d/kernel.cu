// Windows of size x size side by side over images (N, height, width, channels). Window counts are (down, across).

// The largest value of each window, and its position in the window. NaN is larger than every number, and the last wins.
extern "C" __global__ void max_pool(V* y, unsigned* winners, const V* x, index_t len, int height, int width, int channels, int size) {
    int down = height / size, across = width / size;
    for (index_t at = thread(); at < len; at += threads()) {
        int channel = (int)(at % channels);
        index_t place = at / channels;
        int column = (int)(place % across), row = (int)(place / across % down);
        index_t image = place / across / down;
        const V* corner = x + ((image * height + row * size) * width + column * size) * channels + channel;
        float largest = to_float(*corner);
        unsigned winner = 0;
        for (int position = 1; position < size * size; position++) {
            float value = to_float(corner[((index_t)(position / size) * width + position % size) * channels]);
            if (value > largest || value != value) {
                largest = value;
                winner = position;
            }
        }
        store(&y[at], largest);
        winners[at] = winner;
    }
}

// The gradient of x: a window's goes to its winner, and where no window is there is none.
extern "C" __global__ void max_pool_gradient(V* into, const V* gradient, const unsigned* winners, index_t len, int height, int width, int channels, int size) {
    int down = height / size, across = width / size;
    for (index_t at = thread(); at < len; at += threads()) {
        int channel = (int)(at % channels);
        index_t pixel = at / channels;
        int x = (int)(pixel % width), y = (int)(pixel / width % height);
        index_t image = pixel / width / height;
        float value = 0.0f;
        if (y / size < down && x / size < across) {
            index_t window = ((image * down + y / size) * across + x / size) * channels + channel;
            if (winners[window] == y % size * size + x % size) value = to_float(gradient[window]);
        }
        store(&into[at], value);
    }
}
