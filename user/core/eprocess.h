/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the canary more than `tolerance` times as bad as stable? A test that may be looked at after every event, for as long
 * as one likes, and is wrong with a probability of `alpha` at most, all looks together (Ville's inequality).
 *
 * Only events count: failures, or samples that took too long. With a share w of all observed flows in the canary, an event
 * of a canary that is r times as bad is the canary's with the probability theta(r) = r w / (r w + 1 - w): how frequent
 * events are, and how that changes by the hour, cancels. E is a mixture of likelihood ratios of theta(tolerance * r_k)
 * against theta(tolerance), over a few r_k; it fails once E >= 1 / alpha (Robbins: "Statistical Methods Related to the
 * Law of the Iterated Logarithm", 1970; Lindon et al.: "Rapid Regression Detection in Software Deployments through
 * Sequential Testing", KDD 2022).
 *
 * Where the canary's next event would lift E beyond 1 / alpha, the surplus is given to the other outcome instead (Fischer
 * and Ramdas: "Improving Wald's (approximate) sequential probability ratio test by avoiding overshoot", 2024): E stays a
 * supermartingale, and finds worse canaries some 6 % earlier.
 *
 * The state is plain data: it may be copied and saved. The same calls in the same order give the same state.
 */
#ifndef CORE_EPROCESS_H
#define CORE_EPROCESS_H

#include <linux/types.h>
#include <stdbool.h>

#define EPROCESS_ALTERNATIVES 5

struct eprocess {
	double tolerance; /* >= 1 */
	double bound; /* ln(1 / alpha) */
	double log_e[EPROCESS_ALTERNATIVES]; /* ln of each alternative's part of E, its prior weight included */
	bool failed; /* E has reached 1 / alpha: for good */
	__u64 canary; /* events so far */
	__u64 stable;
	__u64 draws; /* state of the generator that puts simultaneous events in a random order */
};

/* tolerance >= 1, 0 < alpha < 1. */
struct eprocess eprocess_new(double tolerance, double alpha);

/*
 * Events that came since the last call, all of flows that were assigned while a share `w` of the observed buckets was the
 * canary's; of several shares, one call for each. With w of 0 or 1 there is nothing to compare: they are passed over.
 */
void eprocess_add(struct eprocess *process, double w, __u64 canary, __u64 stable);

/*
 * The same, but ln E rises by no more than `most`: for events that are not independent of one another. What is taken away
 * keeps E a supermartingale.
 */
void eprocess_add_bounded(struct eprocess *process, double w, __u64 canary, __u64 stable, double most);

/*
 * How many events it takes, on average, to fail a canary that is `ratio` times as bad, with the share w: for planning, by
 * simulation, within some 10 %. INFINITY if ratio <= tolerance, if w is 0 or 1, or where it takes more than a million.
 */
double eprocess_delay(double tolerance, double alpha, double w, double ratio);

/* ln E, at most ln(1 / alpha). */
double eprocess_log(const struct eprocess *process);

#endif
