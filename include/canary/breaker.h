/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The breaker: is the canary so bad that nobody should wait for a gate? The same code in the kernel program, which trips
 * on it, and in the simulations of it.
 *
 * CUSUMs of log-likelihood ratios (Page: "Continuous Inspection Schemes", Biometrika 41, 1954): S <- max(0, S + step),
 * and a trip at S >= ln(ARL). While all is well that takes ARL events or more on average (Lorden: "Procedures for
 * Reacting to a Change in Distribution", Annals of Mathematical Statistics 42, 1971).
 *
 *   relative  over failures: whose was it? The base rate cancels; but a canary's failure is worth ln(1/w) at most, w
 *             its share of what is observed, so it weakens as w grows.
 *   canary    over the canary's outcomes, for a failure rate of 50 % against 2 %: five failures in a row, whatever w; nine
 *             where nothing of stable's is observed, since then no other sum can say that failures are usual here.
 *   stable    over stable's outcomes, for 5 % against 1 %: while stable fares badly too (a flood of SYNs, a database that
 *             both need), failures are not news about the canary, and the canary's sum alone trips nothing.
 *
 * The three sums lie in one word, so that one compare-and-swap is an update. Fixed point, in 1/65536 nat.
 */
#ifndef CANARY_BREAKER_H
#define CANARY_BREAKER_H

#include "abi.h"
#include "hash.h"

#define CANARY_BREAKER_NAT 65536
#define CANARY_BREAKER_MAX_LIMIT (31 * CANARY_BREAKER_NAT) /* so that the sums fit into their bits */

#define CANARY_BREAKER_CANARY_FAILURE 210952 /* ln(0.5 / 0.02) */
#define CANARY_BREAKER_CANARY_SUCCESS (-44102) /* ln(0.5 / 0.98) */
#define CANARY_BREAKER_STABLE_FAILURE 105476 /* ln(0.05 / 0.01) */
#define CANARY_BREAKER_STABLE_SUCCESS (-2703) /* ln(0.95 / 0.99) */
/* Stable fares badly: from its second failure in short succession on, and for some 600 successes after a flood. */
#define CANARY_BREAKER_STABLE_LIMIT (CANARY_BREAKER_STABLE_FAILURE * 3 / 2)
#define CANARY_BREAKER_STABLE_MAX (28 * CANARY_BREAKER_NAT)

/* What user space computes of weight, observed share and settings, for one configuration. */
struct canary_breaker_rule {
	__s32 relative[CANARY_COHORTS]; /* the step for a failure of each; both 0: nothing to compare with */
	__s32 limit; /* ln(ARL), 0 < limit <= CANARY_BREAKER_MAX_LIMIT; 0: the breaker is off */
	__s32 canary_limit; /* for the canary's sum: see canary_breaker_canary_limit() */
};
_Static_assert(sizeof(struct canary_breaker_rule) == 16, "abi");

enum canary_breaker_trip {
	CANARY_BREAKER_CLOSED = 0, /* as an electrician has it: flows pass */
	CANARY_BREAKER_RELATIVE = 1,
	CANARY_BREAKER_ABSOLUTE = 2,
};

/*
 *   bits 0-20   relative
 *   bits 21-42  canary
 *   bits 43-63  stable
 */
#define CANARY_BREAKER_CANARY_SHIFT 21
#define CANARY_BREAKER_STABLE_SHIFT 43
#define CANARY_BREAKER_RELATIVE_MASK ((1ULL << 21) - 1)
#define CANARY_BREAKER_CANARY_MASK ((1ULL << 22) - 1)

CANARY_INLINE __s64 canary_breaker_relative(__u64 word)
{
	return word & CANARY_BREAKER_RELATIVE_MASK;
}

CANARY_INLINE __s64 canary_breaker_canary(__u64 word)
{
	return word >> CANARY_BREAKER_CANARY_SHIFT & CANARY_BREAKER_CANARY_MASK;
}

CANARY_INLINE __s64 canary_breaker_stable(__u64 word)
{
	return word >> CANARY_BREAKER_STABLE_SHIFT;
}

/*
 * S <- max(0, S + step), and never above `max`: a flood must not take longer to be forgotten than it lasted, and the
 * canary's sum not longer than stable's.
 */
CANARY_INLINE __s64 canary_breaker_step(__s64 sum, __s64 step, __s64 max)
{
	sum += step;
	if (sum < 0)
		return 0;
	return sum < max ? sum : max;
}

/* The canary's limit in a rule. */
CANARY_INLINE __s32 canary_breaker_canary_limit(__s32 limit, __u32 stable_observed)
{
	return stable_observed ? limit : 2 * limit;
}

/* How many outcomes of observed flows. A soft failure may be the client's doing: it counts in the comparison alone. */
struct canary_breaker_outcomes {
	__u32 canary_failed;
	__u32 canary_soft;
	__u32 canary_fine;
	__u32 stable_failed;
	__u32 stable_soft;
	__u32 stable_fine;
};
_Static_assert(sizeof(struct canary_breaker_outcomes) == 24, "abi");

/*
 * The word after some outcomes whose order is not known or not meant: half-open handshakes expire many at a time. Each
 * sum takes its net step: one by one, in any order that has the cohorts in turn, a flood would look like a bad canary
 * whenever the canary's part comes in one piece.
 */
CANARY_INLINE __u64 canary_breaker_add(__u64 word, const struct canary_breaker_rule *rule,
				       const struct canary_breaker_outcomes *outcomes)
{
	__s64 canary_failed = outcomes->canary_failed, canary_fine = outcomes->canary_fine;
	__s64 stable_failed = outcomes->stable_failed, stable_fine = outcomes->stable_fine;
	__s64 relative = (canary_failed + outcomes->canary_soft) * rule->relative[CANARY_CANARY] +
			 (stable_failed + outcomes->stable_soft) * rule->relative[CANARY_STABLE];
	__s64 canary = canary_failed * CANARY_BREAKER_CANARY_FAILURE + canary_fine * CANARY_BREAKER_CANARY_SUCCESS;
	__s64 stable = stable_failed * CANARY_BREAKER_STABLE_FAILURE + stable_fine * CANARY_BREAKER_STABLE_SUCCESS;

	relative = canary_breaker_step(canary_breaker_relative(word), relative, rule->limit);
	canary = canary_breaker_step(canary_breaker_canary(word), canary, rule->canary_limit);
	stable = canary_breaker_step(canary_breaker_stable(word), stable, CANARY_BREAKER_STABLE_MAX);
	return (__u64)stable << CANARY_BREAKER_STABLE_SHIFT | (__u64)canary << CANARY_BREAKER_CANARY_SHIFT |
	       (__u64)relative;
}

/* One outcome, of a kind of enum canary_outcome_kind. */
CANARY_INLINE struct canary_breaker_outcomes canary_breaker_one(__u32 cohort, __u32 kind)
{
	/* No array with a computed index: the verifier refuses what compilers make of that. */
	return (struct canary_breaker_outcomes){
		.canary_failed = cohort == CANARY_CANARY && kind == CANARY_KIND_HARD,
		.canary_soft = cohort == CANARY_CANARY && kind == CANARY_KIND_SOFT,
		.canary_fine = cohort == CANARY_CANARY && kind == CANARY_KIND_SUCCESS,
		.stable_failed = cohort != CANARY_CANARY && kind == CANARY_KIND_HARD,
		.stable_soft = cohort != CANARY_CANARY && kind == CANARY_KIND_SOFT,
		.stable_fine = cohort != CANARY_CANARY && kind == CANARY_KIND_SUCCESS,
	};
}

/* The word after that. */
CANARY_INLINE __u64 canary_breaker_next(__u64 word, const struct canary_breaker_rule *rule, __u32 cohort, __u32 kind)
{
	const struct canary_breaker_outcomes one = canary_breaker_one(cohort, kind);

	return canary_breaker_add(word, rule, &one);
}

/* For a new assignment: what was held against the canary is forgotten, how stable fares is not. */
CANARY_INLINE __u64 canary_breaker_clear(__u64 word)
{
	return word & ~0ULL << CANARY_BREAKER_STABLE_SHIFT;
}

/* Does the word trip? */
CANARY_INLINE enum canary_breaker_trip canary_breaker_trip(__u64 word, const struct canary_breaker_rule *rule)
{
	if (!rule->limit)
		return CANARY_BREAKER_CLOSED;
	if (canary_breaker_relative(word) >= rule->limit)
		return CANARY_BREAKER_RELATIVE;
	if (canary_breaker_canary(word) < rule->canary_limit)
		return CANARY_BREAKER_CLOSED;
	if (rule->canary_limit == rule->limit && canary_breaker_stable(word) >= CANARY_BREAKER_STABLE_LIMIT)
		return CANARY_BREAKER_CLOSED;
	return CANARY_BREAKER_ABSOLUTE;
}

#endif
