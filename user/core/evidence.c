/* SPDX-License-Identifier: Apache-2.0 */
#include "core/evidence.h"

#include <math.h>

#define MATCHED 4 /* flows of stable's, at most, that one of the canary's is set against */
#define SAMPLE_RATIO_PRIOR 100 /* flows that the prior of the sample ratio is worth */

/*
 * What is staked, as a part of all that may be: 1 loses all with the first failure. Most of the weight is on a canary that
 * never fails; the rest finds that a canary fails as seldom as a stable with some failures.
 */
static const struct {
	double part;
	double weight;
} stakes[HARM_STAKES] = {{1, 0.6}, {0.85, 0.2}, {0.5, 0.1}, {0.2, 0.06}, {0.05, 0.04}};

struct harm harm_new(double max_harm)
{
	struct harm harm = {.max_harm = max_harm};

	for (int i = 0; i < HARM_STAKES; i++)
		harm.log_e[i] = log(stakes[i].weight);
	return harm;
}

double harm_log(const struct harm *harm)
{
	double largest = -INFINITY, sum = 0;

	for (int i = 0; i < HARM_STAKES; i++)
		largest = fmax(largest, harm->log_e[i]);
	for (int i = 0; i < HARM_STAKES; i++)
		sum += exp(harm->log_e[i] - largest);
	return largest + log(sum);
}

/* The probability that `taken` of all flows, drawn at random, have `failed` failures: hypergeometric. */
static double drawn(struct outcomes all, unsigned taken, unsigned failed)
{
	double fine = (double)(all.flows - all.failures), failures = (double)all.failures, total = (double)all.flows;
	double probability = 1;

	for (unsigned i = 0; i < taken; i++) {
		if (i < failed)
			probability *= (failures - i) / (total - i) * (taken - i) / (i + 1.0);
		else
			probability *= (fine - (i - failed)) / (total - i);
	}
	return probability < 0 ? 0 : probability;
}

/* times * ln(factor), where 0 times nothing is nothing. */
static double times_log(double times, double factor)
{
	return times > 0 ? times * log(fmax(factor, 0)) : 0;
}

/*
 * The mean of ln(1 + stake (max_harm - X + Y)) over all ways to set `taken` of stable's flows against each of the
 * canary's, times their number. E of the mean of logarithms is at most E of the mean: still a supermartingale.
 */
static double matched_log(double max_harm, double stake, struct outcomes canary, struct outcomes stable, unsigned taken)
{
	double failures = (double)canary.failures, fine = (double)(canary.flows - canary.failures), sum = 0;

	for (unsigned failed = 0; failed <= taken; failed++) {
		double probability = drawn(stable, taken, failed), y = taken ? (double)failed / taken : 0;

		sum += times_log(failures * probability, 1 + stake * (max_harm - 1 + y));
		sum += times_log(fine * probability, 1 + stake * (max_harm + y));
	}
	return sum;
}

/* `flows` of all, with their part of the failures, which need not be whole numbers: they stand for a mean. */
static double part_log(double max_harm, double stake, struct outcomes canary, struct outcomes stable)
{
	__u64 taken = canary.flows ? stable.flows / canary.flows : 0;
	double matched, share;

	if (taken)
		return matched_log(max_harm, stake, canary, stable, taken < MATCHED ? (unsigned)taken : MATCHED);
	/* Fewer of stable's: so many of the canary's have one each, the others none. */
	share = canary.flows ? (double)stable.flows / (double)canary.flows : 0;
	matched = stable.flows ? matched_log(max_harm, stake, canary, stable, 1) : 0;
	return share * matched + (1 - share) * matched_log(max_harm, stake, canary, stable, 0);
}

void harm_add(struct harm *harm, struct outcomes canary, struct outcomes stable)
{
	for (int i = 0; i < HARM_STAKES; i++) {
		double stake = stakes[i].part / (1 - harm->max_harm);

		harm->log_e[i] += part_log(harm->max_harm, stake, canary, stable);
	}
}

static double log_beta(double a, double b)
{
	return lgamma(a) + lgamma(b) - lgamma(a + b);
}

double sample_ratio_log(__u64 canary, __u64 all, double w)
{
	double a = SAMPLE_RATIO_PRIOR * w, b = SAMPLE_RATIO_PRIOR * (1 - w);
	double x = (double)canary, y = (double)(all - canary);

	if (w <= 0 || w >= 1)
		return 0;
	return log_beta(a + x, b + y) - log_beta(a, b) - x * log(w) - y * log1p(-w);
}
