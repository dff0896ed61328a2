/* SPDX-License-Identifier: Apache-2.0 */
#include "core/histogram.h"

#include <errno.h>

#define US_PER_S 1e6

__u64 histogram_above(const __u32 counts[CANARY_HISTOGRAM_BUCKETS], __u32 bucket)
{
	__u64 above = 0;

	for (__u32 i = bucket + 1; i < CANARY_HISTOGRAM_BUCKETS; i++)
		above += counts[i];
	return above;
}

__u64 histogram_count(const __u32 counts[CANARY_HISTOGRAM_BUCKETS])
{
	return counts[0] + histogram_above(counts, 0);
}

/*
 * Where in a bucket the sample with so much of the bucket's samples below it lies. Interpolation errs by a whole bucket
 * (3.1 %) where all samples are equal and the least that a bucket takes; the middle errs by half a bucket at most, but
 * makes steps where samples are spread. So: interpolated in the bucket's middle half.
 */
static double within(__u32 bucket, double part)
{
	double lower = canary_histogram_lower(bucket), upper = canary_histogram_lower(bucket + 1);

	return lower + (upper - lower) * (0.25 + part / 2);
}

int histogram_percentile(const __u32 counts[CANARY_HISTOGRAM_BUCKETS], double part, double *ret)
{
	__u64 total = histogram_count(counts), before = 0;
	double rank = part * (double)total;
	__u32 last = 0;

	if (!total)
		return -ENODATA;
	for (__u32 i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
		if (!counts[i])
			continue;
		if ((double)(before + counts[i]) >= rank) {
			*ret = within(i, (rank - (double)before) / counts[i]) / US_PER_S;
			return 0;
		}
		before += counts[i];
		last = i;
	}
	/* part > 1 by a rounding error */
	*ret = within(last, 1) / US_PER_S;
	return 0;
}

void histogram_rise(const __u32 before[CANARY_HISTOGRAM_BUCKETS], const __u32 now[CANARY_HISTOGRAM_BUCKETS],
		    __u32 ret[CANARY_HISTOGRAM_BUCKETS])
{
	for (__u32 i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++)
		ret[i] = now[i] > before[i] ? now[i] - before[i] : 0;
}

__u32 histogram_bucket(double seconds)
{
	return canary_histogram_bucket((__u64)(seconds * US_PER_S));
}
