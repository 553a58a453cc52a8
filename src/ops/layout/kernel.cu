// Each of `count` matrices (rows, columns) transposed, by tiles of 32 x 32 and blocks of 32 x 8 threads. blockIdx.x is
// the tile, blockIdx.y the matrix.
extern "C" __global__ void transpose(V* into, const V* x, int rows, int columns) {
    __shared__ V tile[32][33];
    int across = (columns + 31) / 32;
    int column = blockIdx.x % across * 32, row = blockIdx.x / across * 32;
    index_t matrix = (index_t)blockIdx.y * rows * columns;
    for (int y = threadIdx.y; y < 32; y += 8)
        if (row + y < rows && column + threadIdx.x < columns)
            tile[y][threadIdx.x] = x[matrix + (index_t)(row + y) * columns + column + threadIdx.x];
    __syncthreads();
    for (int y = threadIdx.y; y < 32; y += 8)
        if (column + y < columns && row + threadIdx.x < rows)
            into[matrix + (index_t)(column + y) * rows + row + threadIdx.x] = tile[threadIdx.x][y];
}
