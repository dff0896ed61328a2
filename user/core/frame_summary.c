/* SPDX-License-Identifier: Apache-2.0 */
#include "core/frame_summary.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum {
	LINK_HEADER = 14,
	TAG = 4,
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	TYPE_8021Q = 0x8100,
	TYPE_8021AD = 0x88a8,
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	IPV6_FRAGMENT = 8,
	MAX_EXTENSIONS = 8,
	TCP_FLAGS_AT = 13,
};

struct reader {
	const __u8 *at;
	size_t left;
};

static bool skip(struct reader *reader, size_t len)
{
	if (reader->left < len)
		return false;
	reader->at += len;
	reader->left -= len;
	return true;
}

static int u16_at(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

/* What the frame holds, behind its tags: an Ethernet type, or -1. */
static int read_link(struct reader *reader, struct frame_summary *frame)
{
	int type;

	if (!skip(reader, LINK_HEADER))
		return -1;
	type = u16_at(reader->at - 2);
	while ((type == TYPE_8021Q || type == TYPE_8021AD) && frame->vlan_count < 2 && reader->left >= TAG) {
		frame->vlan[frame->vlan_count++] = u16_at(reader->at) & 0xfff;
		type = u16_at(reader->at + 2);
		skip(reader, TAG);
	}
	return type;
}

static void read_ports(const struct reader *reader, struct frame_summary *frame)
{
	if ((frame->proto != IPPROTO_TCP && frame->proto != IPPROTO_UDP) || reader->left < 4)
		return;
	frame->source_port = u16_at(reader->at);
	frame->destination_port = u16_at(reader->at + 2);
	frame->tcp = frame->proto == IPPROTO_TCP && reader->left > TCP_FLAGS_AT;
	if (frame->tcp)
		frame->tcp_flags = reader->at[TCP_FLAGS_AT];
}

static int read_ipv4(struct reader *reader, struct frame_summary *frame)
{
	const __u8 *ip = reader->at;
	int offset;

	if (reader->left < IPV4_HEADER || ip[0] >> 4 != 4)
		return -EINVAL;
	frame->source = (struct canary_addr){{0, 0, htonl(0xffff)}};
	frame->destination = frame->source;
	memcpy(&frame->source.word[3], ip + 12, 4);
	memcpy(&frame->destination.word[3], ip + 16, 4);
	frame->proto = ip[9];
	offset = u16_at(ip + 6) & 0x1fff;
	frame->fragment = offset || ip[6] & 0x20;
	if (!offset && skip(reader, (ip[0] & 15) * 4U))
		read_ports(reader, frame);
	return 0;
}

static bool is_extension(int header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_DSTOPTS ||
	       header == IPPROTO_FRAGMENT;
}

static int read_ipv6(struct reader *reader, struct frame_summary *frame)
{
	const __u8 *ip = reader->at;
	bool first = true;

	if (reader->left < IPV6_HEADER || ip[0] >> 4 != 6)
		return -EINVAL;
	memcpy(&frame->source, ip + 8, sizeof(frame->source));
	memcpy(&frame->destination, ip + 24, sizeof(frame->destination));
	frame->proto = ip[6];
	skip(reader, IPV6_HEADER);
	for (int i = 0; i < MAX_EXTENSIONS && first && is_extension(frame->proto) && reader->left >= 8; i++) {
		const __u8 *header = reader->at;
		bool fragment = frame->proto == IPPROTO_FRAGMENT;

		frame->proto = header[0];
		frame->fragment |= fragment;
		first = !fragment || !(u16_at(header + 2) & 0xfff8);
		if (!skip(reader, fragment ? IPV6_FRAGMENT : (header[1] + 1U) * 8))
			return 0;
	}
	if (first)
		read_ports(reader, frame);
	return 0;
}

int frame_summarise(const void *bytes, size_t len, struct frame_summary *ret)
{
	struct reader reader = {bytes, len};

	*ret = (struct frame_summary){.source_port = -1, .destination_port = -1};
	switch (read_link(&reader, ret)) {
	case TYPE_IPV4:
		return read_ipv4(&reader, ret);
	case TYPE_IPV6:
		return read_ipv6(&reader, ret);
	default:
		return -EINVAL;
	}
}

const char *format_tcp_flags(__u8 flags, char buf[TCP_FLAGS_TEXT_LEN])
{
	static const char letters[] = "FSRPAUEC"; /* from the lowest bit on */
	size_t len = 0;

	for (int bit = 0; bit < 8; bit++)
		if (flags >> bit & 1)
			buf[len++] = letters[bit];
	if (!len)
		buf[len++] = '.';
	buf[len] = 0;
	return buf;
}
