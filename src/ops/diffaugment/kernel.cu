// Each image moved down and to the right, and a square of it cut out, by four numbers an image: the rows and columns that
// it moves, and where the square begins. What nothing moves to is `fill`. `back` moves a gradient to where the pixels
// came from.
extern "C" __global__ void diffaugment(V* into, const V* from, const index_t* draws, index_t len, int height, int width,
                                       int channels, int cut, float fill, int back) {
    for (index_t at = thread(); at < len; at += threads()) {
        index_t pixel = at / channels;
        int channel = at % channels, x = pixel % width, y = pixel / width % height;
        index_t image = pixel / width / height;
        const index_t* draw = draws + image * 4;
        index_t down = draw[0], right = draw[1];
        // Where the pixel is before the move and after it.
        index_t before_y = back ? y : y - down, before_x = back ? x : x - right;
        index_t after_y = back ? y + down : y, after_x = back ? x + right : x;
        index_t source_y = back ? after_y : before_y, source_x = back ? after_x : before_x;
        bool is_cut = after_y >= draw[2] && after_y < draw[2] + cut && after_x >= draw[3] && after_x < draw[3] + cut;
        bool is_there = source_y >= 0 && source_y < height && source_x >= 0 && source_x < width;
        float value = fill;
        if (is_there && !is_cut) value = to_float(from[((image * height + source_y) * width + source_x) * channels + channel]);
        store(into + at, value);
    }
}
