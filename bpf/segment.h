/* SPDX-License-Identifier: GPL-2.0 */
/* Is the client pinned to a cohort? Only services that have segments pay for the lookup. */
#ifndef BPF_SEGMENT_H
#define BPF_SEGMENT_H

/* The cohort, or -1. */
static __always_inline int segment_find(const struct canary_config *config, const struct canary_addr *client)
{
	struct canary_segment_key key;
	__u32 *cohort;

	if (!config->segment_set)
		return -1;
	key = (struct canary_segment_key){.prefixlen = 32 + 128, .set = config->segment_set, .addr = *client};
	cohort = bpf_map_lookup_elem(&segments, &key);
	return cohort ? (int)(*cohort & 1) : -1;
}

#endif
