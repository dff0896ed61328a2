/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_frame.h"

#include <netinet/in.h>
#include <string.h>

#include "lib_packet.h"

static unsigned get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static void read_transport(const __u8 *data, unsigned len, struct frame *frame)
{
	unsigned end = frame->l3 + frame->ip_len;
	const __u8 *l4 = data + frame->l4;
	unsigned l4_len;

	if (end > len || frame->l4 > end)
		return;
	l4_len = end - frame->l4;
	switch (frame->proto) {
	case IPPROTO_TCP:
		if (l4_len < 20 || l4[12] >> 4 < 5 || l4_len < (l4[12] >> 4) * 4u)
			return;
		frame->tcp_flags = l4[13];
		break;
	case IPPROTO_UDP:
		if (l4_len < 8 || get16(l4 + 4) < 8)
			return;
		if (get16(l4 + 4) > l4_len && !frame->fragment)
			return;
		break;
	default:
		frame->sound = true;
		return;
	}
	frame->sport = get16(l4);
	frame->dport = get16(l4 + 2);
	frame->sound = true;
}

static bool read_ipv4(const __u8 *data, unsigned len, struct frame *frame)
{
	const __u8 *ip = data + frame->l3;

	if (frame->l3 + 20 > len || ip[0] >> 4 != 4)
		return false;
	frame->family = 4;
	frame->header_len = (ip[0] & 15) * 4;
	frame->ip_len = get16(ip + 2);
	frame->fragment = get16(ip + 6) & IPV4_MF;
	frame->id = get16(ip + 4);
	frame->ttl = ip[8];
	frame->proto = ip[9];
	frame->src = frame->dst = (struct canary_addr){.word = {0, 0, htonl(0xffff)}};
	memcpy(&frame->src.word[3], ip + 12, 4);
	memcpy(&frame->dst.word[3], ip + 16, 4);
	frame->l4 = frame->l3 + frame->header_len;
	frame->later = get16(ip + 6) & 0x1fff;
	if (frame->header_len >= 20 && !frame->later)
		read_transport(data, len, frame);
	return true;
}

static bool is_extension(unsigned proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_DSTOPTS || proto == IPPROTO_ROUTING ||
	       proto == IPPROTO_FRAGMENT;
}

static bool read_ipv6(const __u8 *data, unsigned len, struct frame *frame)
{
	const __u8 *ip = data + frame->l3;

	if (frame->l3 + 40 > len || ip[0] >> 4 != 6)
		return false;
	frame->family = 6;
	frame->ip_len = 40 + get16(ip + 4);
	frame->ttl = ip[7];
	frame->proto = ip[6];
	memcpy(&frame->src, ip + 8, 16);
	memcpy(&frame->dst, ip + 24, 16);
	frame->l4 = frame->l3 + 40;
	for (; is_extension(frame->proto); frame->extensions++) {
		const __u8 *ext = data + frame->l4;

		if (frame->l4 + 8 > len)
			return true;
		if (frame->proto == IPPROTO_FRAGMENT && get16(ext + 2) & 0xfff9)
			memcpy(&frame->id, ext + 4, sizeof(frame->id));
		frame->later |= frame->proto == IPPROTO_FRAGMENT && get16(ext + 2) & 0xfff8;
		frame->fragment |= frame->proto == IPPROTO_FRAGMENT && get16(ext + 2) & 1;
		frame->routed |= frame->proto == IPPROTO_ROUTING && ext[3];
		frame->l4 += frame->proto == IPPROTO_FRAGMENT ? 8 : (ext[1] + 1) * 8;
		frame->proto = ext[0];
		if (frame->later)
			return true;
	}
	read_transport(data, len, frame);
	return true;
}

bool frame_read_ip(const __u8 *data, unsigned len, unsigned l3, struct frame *ret)
{
	*ret = (struct frame){.l3 = l3};
	if (l3 >= len)
		return false;
	return data[l3] >> 4 == 4 ? read_ipv4(data, len, ret) : read_ipv6(data, len, ret);
}

bool frame_read(const __u8 *data, unsigned len, struct frame *ret)
{
	unsigned at = 12;

	for (int i = 0; i < 2 && at + 6 <= len; i++)
		if (get16(data + at) == VLAN_Q || get16(data + at) == VLAN_AD)
			at += 4;
	*ret = (struct frame){.l3 = at + 2};
	if (at + 2 > len)
		return false;
	if (get16(data + at) == 0x0800)
		return read_ipv4(data, len, ret);
	return get16(data + at) == 0x86dd && read_ipv6(data, len, ret);
}

unsigned frame_check_at(const struct frame *frame)
{
	switch (frame->proto) {
	case IPPROTO_TCP:
		return frame->l4 + 16;
	case IPPROTO_UDP:
		return frame->l4 + 6;
	case IPPROTO_ICMP:
		return frame->family == 4 ? frame->l4 + 2 : 0;
	case IPPROTO_ICMPV6:
		return frame->family == 6 ? frame->l4 + 2 : 0;
	default:
		return 0;
	}
}

static unsigned transport_sum(const __u8 *data, const struct frame *frame)
{
	unsigned len = frame->l3 + frame->ip_len - frame->l4;
	const __u8 *l4 = data + frame->l4;

	if (frame->proto == IPPROTO_ICMP)
		return packet_sum(l4, len, 0);
	if (frame->proto == IPPROTO_UDP)
		len = get16(l4 + 4);
	return packet_transport_sum(data + frame->l3, l4, len, frame->proto);
}

/* Where an ICMP message quotes a whole IPv4 header; 0: it does not. */
static unsigned quoted_ipv4(const __u8 *data, const struct frame *frame)
{
	unsigned at = frame->l4 + 8, end = frame->l3 + frame->ip_len;

	if (frame->family != 4 || frame->proto != IPPROTO_ICMP || at + 20 > end || data[at] >> 4 != 4)
		return 0;
	return (data[at] & 15) < 5 || at + (data[at] & 15) * 4 > end ? 0 : at;
}

/* Does the checksum lie within the packet? */
static bool has_check(const struct frame *frame)
{
	unsigned at = frame_check_at(frame);

	return at && at + 2 <= frame->l3 + frame->ip_len && !frame->fragment && !frame->later;
}

unsigned frame_checks(const __u8 *data, const struct frame *frame)
{
	unsigned quoted = quoted_ipv4(data, frame), ret = 0;

	if (frame->family == 4 && packet_sum(data + frame->l3, frame->header_len, 0) == 0xffff)
		ret |= FRAME_HEADER;
	if (has_check(frame)) {
		if (frame->proto == IPPROTO_UDP && !get16(data + frame_check_at(frame)))
			ret |= FRAME_NONE;
		else if (transport_sum(data, frame) == 0xffff)
			ret |= FRAME_TRANSPORT;
	}
	if (quoted && packet_sum(data + quoted, (data[quoted] & 15) * 4, 0) == 0xffff)
		ret |= FRAME_QUOTED_HEADER;
	return ret;
}

static void set_check(__u8 *at, unsigned sum, bool udp)
{
	unsigned check = ~sum & 0xffff;

	if (udp && !check)
		check = 0xffff;
	at[0] = check >> 8;
	at[1] = check;
}

void frame_fix_checks(__u8 *data, const struct frame *frame)
{
	unsigned quoted = quoted_ipv4(data, frame);
	unsigned at = frame_check_at(frame);
	bool udp = frame->proto == IPPROTO_UDP;

	if (frame->family == 4) {
		memset(data + frame->l3 + 10, 0, 2);
		set_check(data + frame->l3 + 10, packet_sum(data + frame->l3, frame->header_len, 0), false);
	}
	if (quoted) {
		memset(data + quoted + 10, 0, 2);
		set_check(data + quoted + 10, packet_sum(data + quoted, (data[quoted] & 15) * 4, 0), false);
	}
	if (!has_check(frame) || (udp && !get16(data + at)))
		return;
	memset(data + at, 0, 2);
	set_check(data + at, transport_sum(data, frame), udp);
}
