/* SPDX-License-Identifier: Apache-2.0 */
#include "core/eprocess.h"

#include <math.h>
#include <stddef.h>

#include "canary/hash.h"

/* More simultaneous events than these are taken as one: nobody needs the last few percent of power then. */
#define ORDERED_EVENTS 4096

/*
 * Found by a search for the least delay over a tolerance of 1 and 1.2, canaries that are 1.5 to 10 times as bad, and w of 5
 * and 20 %: tests/sim shows what they do.
 */
static const struct {
	double ratio; /* how many times the tolerance */
	double weight;
} alternatives[EPROCESS_ALTERNATIVES] = {{1.44, 0.095}, {1.71, 0.21}, {2.85, 0.155}, {7.7, 0.446}, {39, 0.094}};

/* ln of the factors by which an alternative's part of E grows with an event of the canary's, and one of stable's. */
struct factors {
	double canary[EPROCESS_ALTERNATIVES];
	double stable[EPROCESS_ALTERNATIVES];
	double theta; /* the probability, at the tolerance, that an event is the canary's */
};

struct eprocess eprocess_new(double tolerance, double alpha)
{
	struct eprocess process = {.tolerance = tolerance, .bound = -log(alpha)};

	for (int k = 0; k < EPROCESS_ALTERNATIVES; k++)
		process.log_e[k] = log(alternatives[k].weight);
	return process;
}

static double log_sum_exp(const double *logs, const double *added)
{
	double largest = -INFINITY, sum = 0;

	for (int k = 0; k < EPROCESS_ALTERNATIVES; k++)
		largest = fmax(largest, logs[k] + (added ? added[k] : 0));
	for (int k = 0; k < EPROCESS_ALTERNATIVES; k++)
		sum += exp(logs[k] + (added ? added[k] : 0) - largest);
	return largest + log(sum);
}

double eprocess_log(const struct eprocess *process)
{
	double log_e = log_sum_exp(process->log_e, NULL);

	return process->failed || log_e > process->bound ? process->bound : log_e;
}

static double theta(double ratio, double w)
{
	return ratio * w / (ratio * w + 1 - w);
}

static struct factors factors_of(const struct eprocess *process, double w)
{
	struct factors factors = {.theta = theta(process->tolerance, w)};

	for (int k = 0; k < EPROCESS_ALTERNATIVES; k++) {
		double at = theta(process->tolerance * alternatives[k].ratio, w);

		factors.canary[k] = log(at / factors.theta);
		factors.stable[k] = log((1 - at) / (1 - factors.theta));
	}
	return factors;
}

static void apply(struct eprocess *process, const double *logs, double times, double bonus)
{
	for (int k = 0; k < EPROCESS_ALTERNATIVES; k++)
		process->log_e[k] += times * logs[k] + bonus;
}

/* One event. E never rises beyond the bound: what it would have is added where the event is stable's. */
static void add_one(struct eprocess *process, const struct factors *factors, bool canary)
{
	double log_e = log_sum_exp(process->log_e, NULL);
	double up = log_sum_exp(process->log_e, factors->canary), down, surplus;

	if (canary) {
		process->failed |= up >= process->bound;
		apply(process, factors->canary, 1, 0);
		return;
	}
	if (up <= process->bound) {
		apply(process, factors->stable, 1, 0);
		return;
	}
	down = log_sum_exp(process->log_e, factors->stable);
	surplus = (1 - factors->theta * exp(process->bound - log_e)) / (1 - factors->theta);
	apply(process, factors->stable, 1, log(surplus) + log_e - down);
}

static __u64 draw(__u64 *state)
{
	return canary_mix64(*state += 0x9e3779b97f4a7c15ULL);
}

void eprocess_add(struct eprocess *process, double w, __u64 canary, __u64 stable)
{
	struct factors factors;

	if (w <= 0 || w >= 1 || !(canary + stable))
		return;
	factors = factors_of(process, w);
	process->canary += canary;
	process->stable += stable;
	if (canary + stable > ORDERED_EVENTS) {
		apply(process, factors.canary, (double)canary, 0);
		apply(process, factors.stable, (double)stable, 0);
		process->failed |= log_sum_exp(process->log_e, NULL) >= process->bound;
		return;
	}
	/* At the tolerance every order of simultaneous events is as likely; so one is drawn, whatever they are. */
	while (!process->failed && canary + stable) {
		bool next = draw(&process->draws) % (canary + stable) < canary;

		add_one(process, &factors, next);
		canary -= next;
		stable -= !next;
	}
}

void eprocess_add_bounded(struct eprocess *process, double w, __u64 canary, __u64 stable, double most)
{
	const double before = log_sum_exp(process->log_e, NULL), rounding = 1e-9;
	double excess;

	if (process->failed)
		return;
	eprocess_add(process, w, canary, stable);
	excess = log_sum_exp(process->log_e, NULL) - before - most;
	if (excess <= 0)
		return;
	for (int k = 0; k < EPROCESS_ALTERNATIVES; k++)
		process->log_e[k] -= excess;
	process->failed = log_sum_exp(process->log_e, NULL) >= process->bound - rounding;
}

double eprocess_delay(double tolerance, double alpha, double w, double ratio)
{
	const double share = theta(ratio, w);
	const __u64 runs = 100, most = 1000000;
	__u64 events = 0, draws = 0;

	if (ratio <= tolerance || w <= 0 || w >= 1)
		return INFINITY;
	for (__u64 run = 0; run < runs; run++) {
		struct eprocess process = eprocess_new(tolerance, alpha);
		struct factors factors = factors_of(&process, w);

		while (!process.failed) {
			add_one(&process, &factors, (double)(draw(&draws) >> 11) * 0x1p-53 < share);
			if (++events > most * (run + 1))
				return INFINITY;
		}
	}
	return (double)events / (double)runs;
}
