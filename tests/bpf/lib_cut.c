/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_cut.h"

#include <string.h>

#include "lib_frame.h"

static void put16(__u8 *at, unsigned value)
{
	at[0] = value >> 8;
	at[1] = value;
}

/* All of the header, with its options, is in each part: a receiver goes by the first one's. */
static void cut_ipv4(struct packet *part, unsigned header_len, unsigned offset, bool more, unsigned id)
{
	__u8 *ip = part->data + part->l3;

	put16(ip + 2, part->len - part->l3);
	put16(ip + 4, id);
	put16(ip + 6, offset / 8 | (more ? IPV4_MF : 0));
	put16(ip + 10, 0);
	put16(ip + 10, ~packet_sum(ip, header_len, 0));
}

/* next: the byte that says what is behind the headers that each part has. */
static void cut_ipv6(struct packet *part, __u8 *header, __u8 *next, unsigned offset, bool more, unsigned id)
{
	put16(part->data + part->l3 + 4, part->len - part->l3 - 40);
	memset(header, 0, 8);
	header[0] = *next;
	*next = IPPROTO_FRAGMENT;
	put16(header + 2, offset | more);
	put16(header + 4, id >> 16);
	put16(header + 6, id);
}

/* How much each part begins with: hop-by-hop options are for every hop. */
static unsigned common_len(const struct packet *whole, const struct frame *frame)
{
	const __u8 *ip = whole->data + frame->l3;

	if (frame->family == 4)
		return frame->header_len;
	return ip[6] == IPPROTO_HOPOPTS ? 40 + (ip[41] + 1) * 8 : 40;
}

unsigned packet_cut(const struct packet *whole, unsigned size, unsigned id, struct packet ret[CUT_MAX])
{
	unsigned begin, end, count = 0;
	struct frame frame;

	if (!frame_read(whole->data, whole->len, &frame) || !frame.sound || frame.fragment || frame.later)
		return 0;
	begin = frame.l3 + common_len(whole, &frame);
	end = frame.l3 + frame.ip_len;
	if (end - begin <= size || end - begin > size * CUT_MAX)
		return 0;
	for (unsigned at = begin; at < end; at += size) {
		unsigned len = end - at < size ? end - at : size, header = frame.family == 4 ? 0 : 8;
		struct packet *part = &ret[count++];
		bool more = at + len < end;
		__u8 *headers = part->data + frame.l3;

		memcpy(part->data, whole->data, begin);
		memcpy(part->data + begin + header, whole->data + at, len);
		part->len = begin + header + len;
		part->l3 = frame.l3;
		part->l4 = begin + header;
		if (frame.family == 4)
			cut_ipv4(part, begin - frame.l3, at - begin, more, id);
		else
			cut_ipv6(part, part->data + begin, headers + (begin - frame.l3 > 40 ? 40 : 6), at - begin, more,
				 id);
	}
	return count;
}
