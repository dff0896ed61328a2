/* SPDX-License-Identifier: Apache-2.0 */
#include "core/health.h"

#include <math.h>

#include "core/maglev.h"

#define RISES (HEALTH_QUARTERS - 1) /* from the first quarter to the full share, in a slow start */

struct health health_new(bool up, __s64 now)
{
	return (struct health){.state = up ? HEALTH_UP : HEALTH_DOWN, .flaps_at = now, .up_since = now, .warm = up};
}

static double flaps(const struct health *health, const struct health_settings *settings, __s64 now)
{
	if (!settings->half_life)
		return 0;
	return health->flaps * exp2(-(double)(now - health->flaps_at) / settings->half_life);
}

/* From the ceiling the count decays to HEALTH_REUSE in just max_hold (RFC 2439, 4.2). */
static double ceiling(const struct health_settings *settings)
{
	return HEALTH_REUSE * exp2((double)settings->max_hold / settings->half_life);
}

static void go_down(struct health *health, const struct health_settings *settings, __s64 now)
{
	double count = flaps(health, settings, now) + 1;

	health->state = HEALTH_DOWN;
	health->streak = 0;
	if (settings->half_life)
		health->flaps = fmin(count, ceiling(settings));
	health->flaps_at = now;
}

static void go_up(struct health *health, __s64 now)
{
	health->state = HEALTH_UP;
	health->streak = 0;
	health->up_since = now;
	health->warm = false;
}

bool health_result(struct health *health, const struct health_settings *settings, __s64 now, bool good)
{
	enum health_state before = health->state;

	if (good == (before != HEALTH_DOWN)) {
		health->streak = 0;
		return health_tick(health, settings, now);
	}
	health->streak++;
	if (before != HEALTH_DOWN) {
		if (health->streak >= settings->fall)
			go_down(health, settings, now);
	} else if (health->streak >= settings->rise) {
		if (flaps(health, settings, now) > HEALTH_FLAPS) {
			health->state = HEALTH_HELD;
			health->streak = 0;
		} else {
			go_up(health, now);
		}
	}
	return health->state != before;
}

bool health_tick(struct health *health, const struct health_settings *settings, __s64 now)
{
	/* In the middle of a row of bad results it is not let in. */
	if (health->state != HEALTH_HELD || health->streak || flaps(health, settings, now) > HEALTH_REUSE)
		return false;
	go_up(health, now);
	return true;
}

unsigned health_quarters(const struct health *health, const struct health_settings *settings, __s64 now)
{
	__s64 up_for = now - health->up_since;

	if (health->state != HEALTH_UP)
		return 0;
	if (health->warm || up_for >= (__s64)settings->slow_start)
		return HEALTH_QUARTERS;
	return 1 + (unsigned)(up_for * RISES / settings->slow_start);
}

__s64 health_next(const struct health *health, const struct health_settings *settings, __s64 now)
{
	if (health->state == HEALTH_HELD && !health->streak) {
		double left = log2(flaps(health, settings, now) / HEALTH_REUSE) * settings->half_life;

		return left > 0 ? (__s64)left + 1 : 0;
	}
	if (health->state == HEALTH_UP) {
		unsigned quarters = health_quarters(health, settings, now);
		__s64 slow_start = settings->slow_start;

		if (quarters < HEALTH_QUARTERS)
			return (slow_start * quarters + RISES - 1) / RISES - (now - health->up_since);
	}
	return -1;
}

const char *health_state_name(enum health_state state)
{
	static const char *const names[] = {[HEALTH_UP] = "up", [HEALTH_DOWN] = "down", [HEALTH_HELD] = "held"};

	return names[state];
}

/* Weights with shares of `least` quarters or more; what maglev_size() makes of them. */
static __u32 size_with(const unsigned *weights, const unsigned *quarters, size_t count, unsigned least)
{
	struct maglev_backend range[2] = {};
	unsigned sum = 0, lightest = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned weight = weights[i] * (quarters[i] < least ? least : quarters[i]);

		if (!quarters[i])
			continue;
		sum += weight;
		if (!lightest || weight < lightest)
			lightest = weight;
	}
	/* It depends on nothing but the sum and the least: two backends stand for all. */
	range[0].weight = lightest;
	range[1].weight = sum - lightest;
	return maglev_size(range, sum > lightest ? 2 : sum > 0);
}

void health_weights(const unsigned *weights, const unsigned *quarters, size_t count, unsigned *ret)
{
	__u32 wanted = size_with(weights, quarters, count, HEALTH_QUARTERS);
	unsigned least = 1, largest = 0, scale;
	bool slow = false;

	while (least < HEALTH_QUARTERS && size_with(weights, quarters, count, least) != wanted)
		least++;
	for (size_t i = 0; i < count; i++) {
		slow |= quarters[i] && quarters[i] < HEALTH_QUARTERS && least < HEALTH_QUARTERS;
		if (quarters[i] && weights[i] > largest)
			largest = weights[i];
	}
	scale = largest * HEALTH_QUARTERS > CANARY_MAX_BACKEND_WEIGHT ? HEALTH_QUARTERS : 1;
	for (size_t i = 0; i < count; i++) {
		unsigned share = quarters[i] < least ? least : quarters[i];

		if (!quarters[i])
			ret[i] = 0;
		else if (!slow)
			ret[i] = weights[i];
		else if (weights[i] * share < scale)
			ret[i] = 1;
		else
			ret[i] = weights[i] * share / scale;
	}
}
