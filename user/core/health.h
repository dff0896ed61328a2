/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a backend is up, from the results of its checks: `rise` good ones in a row bring it up, `fall` bad ones take it
 * down. One that goes up and down again and again is held down for longer and longer (route flap damping, RFC 2439): each
 * time it goes down counts 1, a count halves every `half_life`; with more than HEALTH_FLAPS it is held until no more than
 * HEALTH_REUSE is left, never longer than `max_hold` after it last went down. One that came back gets its share of new
 * flows in quarters (slow start), so that cold caches do not take it down again.
 *
 * Pure: `now` is any clock in ms that does not go backwards.
 */
#ifndef CORE_HEALTH_H
#define CORE_HEALTH_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define HEALTH_FLAPS 2.0
#define HEALTH_REUSE 0.75
#define HEALTH_QUARTERS 4 /* a full share */

struct health_settings {
	unsigned rise, fall; /* 1 or more */
	unsigned half_life, max_hold; /* ms; half_life 0: no damping; usually a fifth of max_hold */
	unsigned slow_start; /* ms until the full share; 0: at once */
};

enum health_state {
	HEALTH_UP,
	HEALTH_DOWN,
	HEALTH_HELD, /* its checks are good, but it was down too often lately */
};

struct health {
	enum health_state state;
	unsigned streak; /* results in a row that speak against the state */
	double flaps; /* as of flaps_at */
	__s64 flaps_at;
	__s64 up_since;
	bool warm; /* the full share, whatever up_since says */
};

/* Up (with its full share) or down, as it was found: a daemon that starts takes nothing into a ring or out of it. */
struct health health_new(bool up, __s64 now);

/* A check's result; and that time has passed. True: the state has changed. */
bool health_result(struct health *health, const struct health_settings *settings, __s64 now, bool good);
bool health_tick(struct health *health, const struct health_settings *settings, __s64 now);

/* Its share of new flows in quarters: 0 if it is not up. */
unsigned health_quarters(const struct health *health, const struct health_settings *settings, __s64 now);
/* In how many ms health_tick() or health_quarters() may say something else, if no result comes; -1: never. */
__s64 health_next(const struct health *health, const struct health_settings *settings, __s64 now);

const char *health_state_name(enum health_state state); /* up, down, held */

/*
 * The weights to build a cohort's ring with, from those of the configuration and each backend's quarters: 0 for one that
 * is out. Only proportions count in a ring, so if all that are in it have a full share, these are the configured ones.
 * A ring's size depends on the lightest backend's share (maglev.h), and a ring of another size moves practically every
 * flow: the shares of those in slow start are raised as far as it takes to keep the size; in a large cohort, to all.
 */
void health_weights(const unsigned *weights, const unsigned *quarters, size_t count, unsigned *ret);

#endif
