namespace convert {
#include "cuda/convert.cu"

static void check_all() {
    // The middle between two of bf16's numbers goes to the even one.
    Floats x = {1.0f, -2.5f, 1.00390625f, 1.01171875f, -0.0f}, nearest = {1.0f, -2.5f, 1.0f, 1.015625f, -0.0f};
    x.push_back(NAN);
    Values of_x = to_values(x);
    std::vector<bfloat16> halves(x.size());
    Floats floats = unwritten(x.size());
    launch({1, 1}, {256, 1}, [&] { to_bfloat16_values(halves.data(), of_x.data(), x.size()); });
    launch({1, 1}, {256, 1}, [&] { to_float_values(floats.data(), of_x.data(), x.size()); });
    Floats found = to_floats(halves), expected = sizeof(V) == 4 ? x : nearest;
    check("NaN", Doubles{(double)std::isnan(found.back()), (double)std::isnan(floats.back())}, Doubles{1.0, 1.0}, 0.0);
    found.pop_back(), floats.pop_back(), expected.resize(found.size());
    check("to_bfloat16", found, nearest, 0.0);
    check("to_float", floats, expected, 0.0);
}
} // namespace convert
