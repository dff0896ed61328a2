/* SPDX-License-Identifier: GPL-2.0 */
/* What this program says itself, in place of a service or a router: to whom, and how a frame goes back to its sender. */
#ifndef BPF_ANSWER_H
#define BPF_ANSWER_H

#define ANSWER_HOP_LIMIT 64

/* Is that the address of one host? Nothing is said to groups, nor to "this host" and the loopback (RFC 1122, 3.2.1.3 and 3.2.2). */
static __always_inline bool answer_reaches(const struct canary_addr *to)
{
	__u8 first;

	if (addr_v4(to)) {
		first = *(const __u8 *)&to->word[3];
		return first && first != 127 && first < 224;
	}
	first = *(const __u8 *)to;
	return first != 0xff &&
	       (to->word[0] || to->word[1] || to->word[2] || (to->word[3] && to->word[3] != bpf_htonl(1)));
}

static __always_inline void answer_turn_link(struct ethhdr *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->h_source, sizeof(mac));
	__builtin_memcpy(eth->h_source, eth->h_dest, sizeof(mac));
	__builtin_memcpy(eth->h_dest, mac, sizeof(mac));
}

#endif
