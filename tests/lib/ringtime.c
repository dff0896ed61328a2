/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it takes to build a ring of 65,537 slots: ringtime BACKENDS TIMES prints the microseconds of processor time of each
 * time, one a line.
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/maglev.h"

enum { SLOTS = 65537 };

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	static struct maglev_backend backends[CANARY_MAX_COHORT_BACKENDS];
	static __u16 slots[SLOTS];
	int count = argc == 3 ? atoi(argv[1]) : 0, times = argc == 3 ? atoi(argv[2]) : 0;

	if (count < 1 || count > CANARY_MAX_COHORT_BACKENDS || times < 1)
		errx(2, "usage: ringtime BACKENDS TIMES");
	/* 10.1.0.0 and what follows; weights of 1 to 7, so that all of the work is there. */
	for (int i = 0; i < count; i++)
		backends[i] = (struct maglev_backend){.addr.word = {0, 0, htonl(0xffff), htonl(0x0a010000 + i)},
						      .port = htons(80),
						      .weight = 1 + i % 7,
						      .value = 1 + i};
	for (int i = 0; i < times; i++) {
		double since = cpu_us();
		int error = maglev_build(backends, count, slots, SLOTS);

		if (error)
			errx(1, "the ring was not built: error %d", error);
		printf("%.1f\n", cpu_us() - since);
	}
	return 0;
}
