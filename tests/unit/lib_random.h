/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers for simulations: the same in every run, and fast (xoshiro256+, Blackman and Vigna 2018). */
#ifndef TESTS_LIB_RANDOM_H
#define TESTS_LIB_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state[4];
};

struct random random_seeded(uint64_t seed);

static inline uint64_t random_bits(struct random *random)
{
	uint64_t *s = random->state, result = s[0] + s[3], t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = s[3] << 45 | s[3] >> 19;
	return result;
}

/* 0 <= x < 1 */
static inline double random_unit(struct random *random)
{
	return (double)(random_bits(random) >> 11) * 0x1p-53;
}

static inline bool random_chance(struct random *random, double probability)
{
	return random_unit(random) < probability;
}

double random_exponential(struct random *random, double mean);
double random_normal(struct random *random);
/* Exact for small means, the normal approximation where it cannot be told apart. */
unsigned random_poisson(struct random *random, double mean);
unsigned random_binomial(struct random *random, unsigned n, double probability);

#endif
