// Batch GCD with GMP, as a peer of benchmarks: a product tree that carries the
// cofactor sum, and a remainder tree of it. Prints the numbers, from 1, of the lines
// whose modulus has a factor in common with another line.
//
// cc -O2 -fopenmp -o batchgcd batchgcd.c -lgmp; ./batchgcd FILE
#include <gmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  FILE *f = fopen(argv[argc - 1], "r");
  if (!f) return 2;
  static char line[1 << 16];
  size_t n = 0, room = 0;
  mpz_t *leaf = NULL;
  while (fgets(line, sizeof line, f)) {
    if (n == room) leaf = realloc(leaf, (room = 2 * room + 1024) * sizeof *leaf);
    line[strcspn(line, "\n")] = 0;
    if (mpz_init_set_str(leaf[n++], line, 16)) return 2;
  }
  fclose(f);
  mpz_t *level[64], *sum = malloc(n * sizeof *sum);
  size_t size[64];
  int top = 0;
  level[0] = leaf, size[0] = n;
  for (size_t i = 0; i < n; i++) mpz_init_set_ui(sum[i], 1);
  while (size[top] > 1) {
    mpz_t *low = level[top], *high;
    size_t k = size[top], half = (k + 1) / 2;
    high = malloc(half * sizeof *high);
    mpz_t *next = malloc(half * sizeof *next);
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < half; i++) {
      mpz_inits(high[i], next[i], NULL);
      if (2 * i + 1 == k) {
        mpz_set(high[i], low[2 * i]), mpz_set(next[i], sum[2 * i]);
      } else {
        mpz_mul(high[i], low[2 * i], low[2 * i + 1]);
        mpz_mul(next[i], sum[2 * i], low[2 * i + 1]);
        mpz_addmul(next[i], sum[2 * i + 1], low[2 * i]);
        mpz_clear(sum[2 * i + 1]);
      }
      mpz_clear(sum[2 * i]);
    }
    free(sum);
    sum = next;
    level[++top] = high, size[top] = half;
  }
  mpz_t *rest = sum;
  while (top > 0) {
    mpz_t *low = level[top - 1], *next = malloc(size[top - 1] * sizeof *next);
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < size[top - 1]; i++) {
      mpz_init(next[i]);
      mpz_mod(next[i], rest[i / 2], low[i]);
    }
    for (size_t i = 0; i < size[top]; i++) mpz_clears(rest[i], level[top][i], NULL);
    free(rest), free(level[top]);
    rest = next, top--;
  }
  for (size_t i = 0; i < n; i++) {
    mpz_gcd(rest[i], rest[i], leaf[i]);
    if (mpz_cmp_ui(rest[i], 1)) printf("%zu\n", i + 1);
  }
  return 0;
}
