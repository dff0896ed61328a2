/* SPDX-License-Identifier: Apache-2.0 */
#include "io/health_frame.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/model.h"

#define IPV4_LEN 20
#define IPV6_LEN 40
#define TCP_LEN 20
#define HOPS 64
#define DONT_FRAGMENT 0x4000

static void put16(__u8 *at, unsigned value)
{
	at[0] = (__u8)(value >> 8);
	at[1] = (__u8)value;
}

static void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static __u16 get16(const __u8 *at)
{
	return (__u16)(at[0] << 8 | at[1]);
}

static __u32 get32(const __u8 *at)
{
	return (__u32)get16(at) << 16 | get16(at + 2);
}

/* One's complement sum of 16-bit words, the last one filled up with 0 (RFC 1071). */
static __u32 sum(const __u8 *bytes, size_t len, __u32 before)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		before += get16(bytes + i);
	return len % 2 ? before + ((__u32)bytes[len - 1] << 8) : before;
}

static unsigned fold(__u32 total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return ~total & 0xffff;
}

/* The pseudo-header is of addresses, protocol and length: the sum does not depend on how they lie. */
static size_t write_tcp(const struct frame *frame, const __u8 *addresses, size_t addresses_len, __u8 *tcp)
{
	bool syn = frame->flags & FRAME_SYN;
	size_t header = syn ? TCP_LEN + 4 : TCP_LEN, len = header + frame->len;

	memset(tcp, 0, header);
	put16(tcp, frame->tuple.source_port);
	put16(tcp + 2, frame->tuple.destination_port);
	put32(tcp + 4, frame->sequence);
	put32(tcp + 8, frame->acknowledged);
	tcp[12] = (__u8)(header / 4 << 4);
	tcp[13] = frame->flags;
	put16(tcp + 14, syn ? 65535 : FRAME_WINDOW);
	if (syn) {
		tcp[TCP_LEN] = 2; /* MSS, 4 bytes */
		tcp[TCP_LEN + 1] = 4;
		put16(tcp + TCP_LEN + 2, FRAME_MSS);
	}
	if (frame->len)
		memcpy(tcp + header, frame->data, frame->len);
	put16(tcp + 16, fold(sum(tcp, len, sum(addresses, addresses_len, IPPROTO_TCP + (__u32)len))));
	return len;
}

size_t frame_write(const struct frame *frame, __u8 ret[FRAME_MAX])
{
	const struct frame_tuple *tuple = &frame->tuple;
	size_t len;

	memset(ret, 0, IPV6_LEN);
	if (addr_is_v4(&tuple->destination)) {
		memcpy(ret + 12, (const __u8 *)&tuple->source + 12, 4);
		memcpy(ret + 16, (const __u8 *)&tuple->destination + 12, 4);
		len = IPV4_LEN + write_tcp(frame, ret + 12, 8, ret + IPV4_LEN);
		ret[0] = 0x45;
		put16(ret + 2, (unsigned)len);
		put16(ret + 6, DONT_FRAGMENT);
		ret[8] = HOPS;
		ret[9] = IPPROTO_TCP;
		put16(ret + 10, fold(sum(ret, IPV4_LEN, 0)));
		return len;
	}
	memcpy(ret + 8, &tuple->source, 16);
	memcpy(ret + 24, &tuple->destination, 16);
	len = write_tcp(frame, ret + 8, 32, ret + IPV6_LEN);
	ret[0] = 0x60;
	put16(ret + 4, (unsigned)len);
	ret[6] = IPPROTO_TCP;
	ret[7] = HOPS;
	return IPV6_LEN + len;
}

static void read_v4_addr(const __u8 *at, struct canary_addr *ret)
{
	static const __u8 mapped[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(ret, mapped, sizeof(mapped));
	memcpy((__u8 *)ret + 12, at, 4);
}

/* Where its TCP header begins, and where it ends: padding may follow. 0: it has none here. */
static size_t read_ip(const __u8 *packet, size_t len, struct frame_tuple *ret, size_t *ret_end)
{
	if (len >= IPV4_LEN && packet[0] >> 4 == 4) {
		if (packet[9] != IPPROTO_TCP || get16(packet + 6) & 0x3fff || (packet[0] & 0xf) < 5)
			return 0;
		read_v4_addr(packet + 12, &ret->source);
		read_v4_addr(packet + 16, &ret->destination);
		*ret_end = get16(packet + 2);
		return (packet[0] & 0xfU) * 4;
	}
	if (len < IPV6_LEN || packet[0] >> 4 != 6 || packet[6] != IPPROTO_TCP)
		return 0;
	memcpy(&ret->source, packet + 8, 16);
	memcpy(&ret->destination, packet + 24, 16);
	*ret_end = IPV6_LEN + (size_t)get16(packet + 4);
	return IPV6_LEN;
}

bool frame_read(const __u8 *packet, size_t len, struct frame *ret)
{
	struct frame frame = {};
	size_t end, at = read_ip(packet, len, &frame.tuple, &end), data;

	if (!at || len < at + TCP_LEN)
		return false;
	frame.tuple.source_port = get16(packet + at);
	frame.tuple.destination_port = get16(packet + at + 2);
	frame.sequence = get32(packet + at + 4);
	frame.acknowledged = get32(packet + at + 8);
	frame.flags = packet[at + 13] & (FRAME_FIN | FRAME_SYN | FRAME_RST | FRAME_ACK);
	if (end > len) {
		end = len;
		frame.flags &= (__u8)~FRAME_FIN;
	}
	data = at + (size_t)(packet[at + 12] >> 4) * 4;
	if (data < end) {
		frame.data = packet + data;
		frame.len = end - data;
	}
	*ret = frame;
	return true;
}
