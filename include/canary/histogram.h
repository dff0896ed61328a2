/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Log-linear histograms of times, as in HdrHistogram: the kernel program counts into them, user space reads them. One
 * bucket a microsecond below 32 us; then 19 octaves of 32 buckets, up to 16.8 s, each 1/32 to 1/64 of its values wide.
 */
#ifndef CANARY_HISTOGRAM_H
#define CANARY_HISTOGRAM_H

#include "abi.h"
#include "hash.h"

#define CANARY_HISTOGRAM_SUB_BITS 5
#define CANARY_HISTOGRAM_SUB (1U << CANARY_HISTOGRAM_SUB_BITS) /* buckets of an octave */
#define CANARY_HISTOGRAM_OCTAVES 19
#define CANARY_HISTOGRAM_BUCKETS (CANARY_HISTOGRAM_SUB * (1 + CANARY_HISTOGRAM_OCTAVES))
#define CANARY_HISTOGRAM_MAX ((1U << (CANARY_HISTOGRAM_SUB_BITS + CANARY_HISTOGRAM_OCTAVES)) - 1) /* us */
_Static_assert(CANARY_HISTOGRAM_BUCKETS == 640, "abi");

/* Rounded down; x > 0. By shifts: the kernel's virtual machine has no instruction for it. */
CANARY_INLINE __u32 canary_log2(__u32 x)
{
	__u32 log, shift;

	log = (x > 0xffff) << 4;
	x >>= log;
	shift = (x > 0xff) << 3;
	x >>= shift;
	log |= shift;
	shift = (x > 0xf) << 2;
	x >>= shift;
	log |= shift;
	shift = (x > 0x3) << 1;
	x >>= shift;
	log |= shift;
	return log | x >> 1;
}

/* The bucket of a time in microseconds, 0..CANARY_HISTOGRAM_BUCKETS - 1; the last takes whatever is beyond. */
CANARY_INLINE __u32 canary_histogram_bucket(__u64 us)
{
	__u32 value = us < CANARY_HISTOGRAM_MAX ? us : CANARY_HISTOGRAM_MAX;
	__u32 octave;

	if (value < CANARY_HISTOGRAM_SUB)
		return value;
	octave = canary_log2(value) - CANARY_HISTOGRAM_SUB_BITS;
	/* The value's leading one is the octave's own: it adds the CANARY_HISTOGRAM_SUB of the linear part. */
	return octave * CANARY_HISTOGRAM_SUB + (value >> octave);
}

/* The least time of a bucket, in microseconds; that of CANARY_HISTOGRAM_BUCKETS is where the last one ends. */
CANARY_INLINE __u32 canary_histogram_lower(__u32 bucket)
{
	__u32 octave = bucket / CANARY_HISTOGRAM_SUB;

	if (!octave)
		return bucket;
	return (CANARY_HISTOGRAM_SUB + bucket % CANARY_HISTOGRAM_SUB) << (octave - 1);
}

#endif
