// y = f(inputs), one pass over memory; f is written by elementwise.py from the scalar text of a primitive or a rule:
//   ARRAYS(M)   M(number, type) for each input that is an array     NUMBERS(M)  M(number) for each that is a number
//   COMPUTE     the expression, in x0, x1, ... (arrays) and n0, n1, ... (numbers)     Index  int, or i64 for large arrays
// y is contiguous, rows of `inner` elements along up to three axes d1, d2, d3 (d1 innermost); an input's steps along
// inner, d1, d2, d3 may be anything, 0 where it is repeated. One thread computes V elements of a row.
#define POINTER(i, type) , const type *a##i, i64 a##i##_0, i64 a##i##_1, i64 a##i##_2, i64 a##i##_3
#define NUMBER(i) , double number##i
#define FETCH(i, type)                                                                                              \
    A v##i[V];                                                                                                      \
    fetch(v##i, a##i + (r1 * Index(a##i##_1) + r2 * Index(a##i##_2) + r3 * Index(a##i##_3) + j * Index(a##i##_0)), \
          a##i##_0, n, wide != 0);
#define ONE(i, type) A x##i = v##i[k];
#define TYPED(i) const A n##i = A(number##i);

KERNEL elementwise(T *y, i64 chunks, i64 inner, i64 d1, i64 d2, i64 wide ARRAYS(POINTER) NUMBERS(NUMBER)) {
    Index chunk = Index(blockIdx.x) * blockDim.x + threadIdx.x;
    if (chunk >= chunks) return;
    Index row = 0, j = chunk * V, r1 = 0, r2 = 0, r3 = 0;
    if (chunks > (inner + V - 1) / V) {  // several rows
        Index per_row = (inner + V - 1) / V;
        row = chunk / per_row;
        j = (chunk - row * per_row) * V;
        Index rest = row / Index(d1);
        r1 = row - rest * Index(d1);
        r3 = rest / Index(d2);
        r2 = rest - r3 * Index(d2);
    }
    int n = inner - j < V ? int(inner - j) : V;
    ARRAYS(FETCH)
    NUMBERS(TYPED)
    A out[V];
#pragma unroll
    for (int k = 0; k < V; ++k) {
        ARRAYS(ONE)
        out[k] = COMPUTE;
    }
    put(y + (row * Index(inner) + j), out, n, wide != 0);
}
