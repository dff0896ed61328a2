/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_random.h"

#include <math.h>

#include "canary/hash.h"

struct random random_seeded(uint64_t seed)
{
	struct random random;

	for (int i = 0; i < 4; i++)
		random.state[i] = canary_mix64(seed += 0x9e3779b97f4a7c15ULL);
	return random;
}

double random_exponential(struct random *random, double mean)
{
	return -mean * log1p(-random_unit(random));
}

double random_normal(struct random *random)
{
	double radius = sqrt(random_exponential(random, 2));

	return radius * cos(2 * M_PI * random_unit(random));
}

unsigned random_poisson(struct random *random, double mean)
{
	double limit = exp(-mean), product = 1;
	unsigned count = 0;

	if (mean > 50) {
		double x = round(mean + sqrt(mean) * random_normal(random));

		return x > 0 ? (unsigned)x : 0;
	}
	while ((product *= random_unit(random)) > limit)
		count++;
	return count;
}

unsigned random_binomial(struct random *random, unsigned n, double probability)
{
	double mean = n * probability, spread = sqrt(mean * (1 - probability));
	unsigned count = 0;

	if (n > 200 && mean > 50 && n - mean > 50) {
		double x = round(mean + spread * random_normal(random));

		return x < 0 ? 0 : x > n ? n : (unsigned)x;
	}
	for (unsigned i = 0; i < n; i++)
		count += random_chance(random, probability);
	return count;
}
