/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence, besides that of eprocess.h: that the canary does no great harm (without which nothing passes), and that the
 * experiment is not what it should be (without which nothing is believed). Both may be looked at as often as one likes.
 */
#ifndef CORE_EVIDENCE_H
#define CORE_EVIDENCE_H

#include <linux/types.h>

/* Outcomes of observed flows (or of clients, with affinity `client`) of one cohort since the last call. */
struct outcomes {
	__u64 flows;
	__u64 failures; /* <= flows */
};

/*
 * That the canary's failure rate exceeds stable's by less than `max_harm`. Each of the canary's flows is set against some
 * of stable's of the same time, so that a base rate that drifts cancels; where stable has none left, against a stable that
 * never fails, which is on the safe side. E is a mixture of products of 1 + lambda (max_harm - X + Y), with X the canary's
 * flow and Y the mean of stable's (Waudby-Smith and Ramdas: "Estimating means of bounded random variables by betting",
 * Journal of the Royal Statistical Society B 86, 2024): a supermartingale if the harm is max_harm or more. So E >= 1 / beta
 * happens to a canary that bad with a probability of beta at most. With no failures and beta 5 % it takes 330 flows.
 */
#define HARM_STAKES 5
struct harm {
	double max_harm; /* 0 < max_harm < 1: a part of all flows */
	double log_e[HARM_STAKES]; /* ln of each stake's part of E; -INFINITY: lost */
};
struct harm harm_new(double max_harm);
void harm_add(struct harm *harm, struct outcomes canary, struct outcomes stable);
double harm_log(const struct harm *harm); /* ln E */

/*
 * Sample-ratio mismatch: ln E against "each of `all` new flows went to the canary with the probability w" (0 < w < 1), by a
 * Beta(100 w, 100 (1 - w)) mixture of other probabilities. ln E >= SAMPLE_RATIO_BOUND: there is something wrong with
 * the experiment, as opposed to the canary. 0 where w is 0 or 1.
 */
#define SAMPLE_RATIO_BOUND 6.907755278982137 /* ln(1000) */
double sample_ratio_log(__u64 canary, __u64 all, double w);

#endif
