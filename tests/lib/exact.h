/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes helpers with known behaviour exact: shares by counting, times to the microsecond, percentiles of all
 * samples, an end at a signal that no race can lose.
 */
#ifndef EXACT_H
#define EXACT_H

#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* ---- shares: N of every M, evenly spread, the same in every run ---- */

struct share {
	uint64_t taken, of, offered, used;
};

static inline struct share parse_share(const char *text)
{
	struct share share = {};
	int end = 0;

	if (sscanf(text, "%lu/%lu%n", &share.taken, &share.of, &end) != 2 || text[end] || share.taken > share.of ||
	    !share.of)
		errx(2, "%s: not a share like 1/20", text);
	return share;
}

/*
 * One more is offered to the share: is it its turn? If the offer then goes to another share, its turn comes at the next.
 * Turns come early (rounded up), so that several shares, of 1 at most together, all have had theirs at each common
 * multiple of their M.
 */
static inline bool share_offer(struct share *share)
{
	share->offered++;
	return share->of && (share->offered * share->taken + share->of - 1) / share->of > share->used;
}

/* The same, and takes it. */
static inline bool share_take(struct share *share)
{
	bool due = share_offer(share);

	share->used += due;
	return due;
}

/* ---- times in nanoseconds ---- */

enum { NS_PER_US = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000, US_PER_S = 1000000 };

static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * (uint64_t)NS_PER_S + now.tv_nsec;
}

/* A timer of CLOCK_MONOTONIC: unlike the timeout of epoll, it goes off without slack. */
static inline void timer_arm(int timer, uint64_t at)
{
	struct itimerspec spec = {.it_value = {at / NS_PER_S, at % NS_PER_S}};

	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL))
		err(1, "timerfd_settime");
}

static inline int timer_open(void)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (timer < 0)
		err(1, "timerfd_create");
	return timer;
}

static inline void timer_drain(int timer)
{
	uint64_t times;

	if (read(timer, &times, sizeof(times)) < 0)
		return; /* was armed anew meanwhile */
}

/* ---- samples ---- */

struct samples {
	uint64_t *values; /* ns */
	size_t count, room;
};

static inline void samples_add(struct samples *samples, uint64_t value)
{
	if (samples->count == samples->room) {
		samples->room = samples->room ? samples->room * 2 : 1024;
		samples->values = realloc(samples->values, samples->room * sizeof(*samples->values));
		if (!samples->values)
			err(1, "no memory for samples");
	}
	samples->values[samples->count++] = value;
}

static inline int samples_compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* The smallest sample that at least `percent` of all do not exceed (nearest rank), in microseconds. Of sorted ones. */
static inline double samples_percentile(const struct samples *samples, unsigned percent)
{
	size_t rank = (samples->count * percent + 99) / 100;

	return samples->count ? samples->values[rank ? rank - 1 : 0] / (double)NS_PER_US : 0;
}

/* As a member of a JSON object, in microseconds; sorts them. */
static inline void samples_print(struct samples *samples, const char *name)
{
	double sum = 0;

	for (size_t i = 0; i < samples->count; i++)
		sum += samples->values[i];
	if (samples->count)
		qsort(samples->values, samples->count, sizeof(*samples->values), samples_compare);
	printf("\"%s\":{\"count\":%zu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name,
	       samples->count, samples->count ? sum / samples->count / NS_PER_US : 0, samples_percentile(samples, 50),
	       samples_percentile(samples, 90), samples_percentile(samples, 99), samples_percentile(samples, 100));
}

/* ---- the end ---- */

static volatile sig_atomic_t stopped;
static sigset_t while_waiting; /* signals come only inside epoll_pwait, so that none slips in between check and wait */

static inline void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static inline void stop_on_signals(void)
{
	struct sigaction action = {.sa_handler = stop};
	sigset_t ends;

	sigemptyset(&ends);
	for (const int *end = (const int[]){SIGTERM, SIGINT, SIGALRM, 0}; *end; end++) {
		sigaddset(&ends, *end);
		sigaction(*end, &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &ends, &while_waiting);
}

static inline void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

#endif
