/* SPDX-License-Identifier: Apache-2.0 */
/* What a histogram of times says. `counts` are CANARY_HISTOGRAM_BUCKETS numbers of samples, see canary/histogram.h. */
#ifndef CORE_HISTOGRAM_H
#define CORE_HISTOGRAM_H

#include <linux/types.h>

#include "canary/histogram.h"

/* How many samples there are, and how many in buckets above the given one. */
__u64 histogram_count(const __u32 counts[CANARY_HISTOGRAM_BUCKETS]);
__u64 histogram_above(const __u32 counts[CANARY_HISTOGRAM_BUCKETS], __u32 bucket);

/*
 * The time, in seconds, that a part of the samples (0..1: 0.99 for the 99th percentile) does not exceed: within 2.4 % or
 * 1 us of the sample itself. What is beyond 16.8 s counts as 16.8 s. 0, or -ENODATA with *ret untouched.
 */
int histogram_percentile(const __u32 counts[CANARY_HISTOGRAM_BUCKETS], double part, double *ret);

/* What came between two readings of one histogram. */
void histogram_rise(const __u32 before[CANARY_HISTOGRAM_BUCKETS], const __u32 now[CANARY_HISTOGRAM_BUCKETS],
		    __u32 ret[CANARY_HISTOGRAM_BUCKETS]);

/* The bucket of a time in seconds, >= 0. */
__u32 histogram_bucket(double seconds);

#endif
