/* SPDX-License-Identifier: GPL-2.0 */
/* Is the client pinned to a cohort? Only services that have segments pay for the lookup. */
#ifndef BPF_SEGMENT_H
#define BPF_SEGMENT_H

/* The cohort, or -1. By a call, which keeps the key from the stack of all who choose. */
GLOBAL int segment_cohort(__u32 set, const struct canary_addr *client)
{
	struct canary_segment_key key = {.prefixlen = 32 + 128, .set = set};
	__u32 *cohort;

	if (!client)
		return -1;
	key.addr = *client;
	cohort = bpf_map_lookup_elem(&segments, &key);
	return cohort ? (int)(*cohort & 1) : -1;
}

static __always_inline int segment_find(const struct canary_config *config, const struct canary_addr *client)
{
	int cohort;

	if (!config->segment_set)
		return -1;
	cohort = segment_cohort(config->segment_set, client);
	barrier_var(cohort); /* clang knows what the function returns, and leaves out checks that the verifier wants */
	return cohort;
}

#endif
