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
 *   canary    over the canary's outcomes, for a failure rate of 50 % against 2 %: five failures in a row, whatever w.
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
#define CANARY_BREAKER_MAX_LIMIT (31 * CANARY_BREAKER_NAT) /* so that a sum fits into its bits */

#define CANARY_BREAKER_CANARY_FAILURE 210952 /* ln(0.5 / 0.02) */
#define CANARY_BREAKER_CANARY_SUCCESS (-44102) /* ln(0.5 / 0.98) */
#define CANARY_BREAKER_STABLE_FAILURE 105476 /* ln(0.05 / 0.01) */
#define CANARY_BREAKER_STABLE_SUCCESS (-2703) /* ln(0.95 / 0.99) */
/* Stable fares badly: from its third failure in short succession on, and for some 570 successes after a flood. */
#define CANARY_BREAKER_STABLE_LIMIT (CANARY_BREAKER_STABLE_FAILURE * 5 / 2)

/* What user space computes of weight, observed share and settings, for one configuration. */
struct canary_breaker_rule {
	__s32 relative[CANARY_COHORTS]; /* the step for a failure of each; both 0: nothing to compare with */
	__s32 limit; /* ln(ARL), 0 < limit <= CANARY_BREAKER_MAX_LIMIT; 0: the breaker is off */
	__s32 alone; /* 1: no bucket of stable's is observed, so its sum is old and says nothing */
};
_Static_assert(sizeof(struct canary_breaker_rule) == 16, "abi");

enum canary_breaker_trip {
	CANARY_BREAKER_CLOSED = 0, /* as an electrician has it: flows pass */
	CANARY_BREAKER_RELATIVE = 1,
	CANARY_BREAKER_ABSOLUTE = 2,
};

/*
 *   bits 0-20   relative
 *   bits 21-41  canary
 *   bits 42-63  stable
 */
#define CANARY_BREAKER_CANARY_SHIFT 21
#define CANARY_BREAKER_STABLE_SHIFT 42
#define CANARY_BREAKER_SUM_MASK ((1ULL << CANARY_BREAKER_CANARY_SHIFT) - 1)

CANARY_INLINE __s64 canary_breaker_relative(__u64 word)
{
	return word & CANARY_BREAKER_SUM_MASK;
}

CANARY_INLINE __s64 canary_breaker_canary(__u64 word)
{
	return word >> CANARY_BREAKER_CANARY_SHIFT & CANARY_BREAKER_SUM_MASK;
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

/* What an outcome of that kind (enum canary_outcome_kind) adds to a cohort's own sum. */
CANARY_INLINE __s64 canary_breaker_own(__u32 kind, __s64 failure, __s64 success)
{
	if (kind == CANARY_KIND_HARD)
		return failure;
	return kind == CANARY_KIND_SUCCESS ? success : 0;
}

/* The word after one outcome of an observed flow. kind: enum canary_outcome_kind. */
CANARY_INLINE __u64 canary_breaker_next(__u64 word, const struct canary_breaker_rule *rule, __u32 cohort, __u32 kind)
{
	__s64 relative = canary_breaker_relative(word);
	__s64 canary = canary_breaker_canary(word);
	__s64 stable = canary_breaker_stable(word);
	__s64 limit = rule->limit;

	if (cohort == CANARY_CANARY)
		canary = canary_breaker_step(
			canary, canary_breaker_own(kind, CANARY_BREAKER_CANARY_FAILURE, CANARY_BREAKER_CANARY_SUCCESS),
			limit);
	else
		stable = canary_breaker_step(
			stable, canary_breaker_own(kind, CANARY_BREAKER_STABLE_FAILURE, CANARY_BREAKER_STABLE_SUCCESS),
			2 * limit);
	if (kind == CANARY_KIND_HARD || kind == CANARY_KIND_SOFT)
		/* Not by an index: the verifier wants none on the stack. */
		relative = canary_breaker_step(
			relative,
			cohort == CANARY_CANARY ? rule->relative[CANARY_CANARY] : rule->relative[CANARY_STABLE], limit);
	return (__u64)stable << CANARY_BREAKER_STABLE_SHIFT | (__u64)canary << CANARY_BREAKER_CANARY_SHIFT |
	       (__u64)relative;
}

/* For a new assignment: what was held against the canary is forgotten, how stable fares is not. */
CANARY_INLINE __u64 canary_breaker_clear(__u64 word)
{
	return word & ~0ULL << CANARY_BREAKER_STABLE_SHIFT;
}

/*
 * Does the word trip? Half-open handshakes expire many at a time: there, apply the outcomes of a whole pass, those of
 * the cohorts mixed as they came, and ask then. Asked in between, a flood that begins looks like a bad canary whenever the
 * canary's few come first; and with the cohorts one after the other, the relative sum forgets stable's before the canary's.
 */
CANARY_INLINE enum canary_breaker_trip canary_breaker_trip(__u64 word, const struct canary_breaker_rule *rule)
{
	if (!rule->limit)
		return CANARY_BREAKER_CLOSED;
	if (canary_breaker_relative(word) >= rule->limit)
		return CANARY_BREAKER_RELATIVE;
	if (canary_breaker_canary(word) < rule->limit)
		return CANARY_BREAKER_CLOSED;
	if (!rule->alone && canary_breaker_stable(word) >= CANARY_BREAKER_STABLE_LIMIT)
		return CANARY_BREAKER_CLOSED;
	return CANARY_BREAKER_ABSOLUTE;
}

#endif
