/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#ifndef CANARY_HISTOGRAM_H
#define CANARY_HISTOGRAM_H
#define CANARY_HISTOGRAM_BUCKETS 640
static inline __attribute__((always_inline)) __u32 canary_histogram_index(__u64 us)
{
	__u32 shift = 0;
	__u64 v = us;

	if (us < 32)
		return us;
	if (v >> 32) {
		return CANARY_HISTOGRAM_BUCKETS - 1;
	}
	v >>= 5;
	if (v >> 16) {
		v >>= 16;
		shift += 16;
	}
	if (v >> 8) {
		v >>= 8;
		shift += 8;
	}
	if (v >> 4) {
		v >>= 4;
		shift += 4;
	}
	if (v >> 2) {
		v >>= 2;
		shift += 2;
	}
	if (v >> 1) {
		shift += 1;
	}
	v = (us >> shift) - 32 + 32 * (shift + 1);
	return v < CANARY_HISTOGRAM_BUCKETS ? v : CANARY_HISTOGRAM_BUCKETS - 1;
}
#endif
