/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_mutate.h"

#include <string.h>

#include "canary/hash.h"

enum { MUTATE_ROOM = PACKET_ROOM - 64 };

static __u64 random_state;

void random_seed(__u64 seed)
{
	random_state = seed;
}

/* SplitMix64: a counter, mixed. */
unsigned random_below(unsigned n)
{
	random_state += 0x9e3779b97f4a7c15ULL;
	return (canary_mix64(random_state) >> 32) % n;
}

/* A fragment's offset and flags: its packet's first part, another that fits to that, or anything. */
static unsigned random_part(unsigned offset, unsigned more)
{
	switch (random_below(3)) {
	case 0:
		return more;
	case 1:
		return offset;
	default:
		return random_below(65536);
	}
}

static void random_extensions(struct spec *spec)
{
	static const unsigned types[] = {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT};
	unsigned count = 1 + random_below(random_below(8) ? 3 : 8);

	for (unsigned i = 0; i < count; i++) {
		struct extension *ext = &spec->ext[i];

		ext->type = RANDOM_OF(types);
		ext->len = ext->type == IPPROTO_FRAGMENT ? 8 : 8 * (1 + random_below(4));
		ext->segments_left = !random_below(20);
		ext->fragment = random_below(4) ? 0 : random_part(1400, 1);
		ext->id = random_below(4);
	}
}

void random_details(struct spec *spec)
{
	static const unsigned flags[] = {SYN, SYN, ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0};
	static const unsigned sizes[] = {1, 4, 64, 300, 1400, 3000};
	bool v6 = strchr(spec->src, ':') != NULL;

	spec->flags = random_below(20) ? RANDOM_OF(flags) : random_below(256);
	spec->seq = random_below(4);
	spec->payload = random_below(RANDOM_OF(sizes));
	spec->filler = random_below(256);
	spec->id = random_below(random_below(2) ? 4 : 65536);
	spec->tos = random_below(256);
	spec->tcp_options = 4 * random_below(random_below(4) ? 2 : 11);
	spec->ttl = random_below(16) ? 2 + random_below(254) : random_below(3);
	spec->trailer = random_below(6) ? 0 : random_below(40);
	if (spec->proto == IPPROTO_UDP && !random_below(4))
		spec->check = CHECK_NONE;
	else if (!random_below(10))
		spec->check = random_below(2) ? CHECK_PARTIAL : CHECK_VALUE;
	if (!v6)
		spec->frag = random_below(10) ? random_below(2) * IPV4_DF : random_part(1400 / 8, IPV4_MF);
	if (!v6 && !random_below(6))
		spec->ip_options = 4 * random_below(11);
	if (v6 && !random_below(5))
		random_extensions(spec);
	for (unsigned i = 0; i < 2 && !random_below(6); i++)
		spec->tag[i] = (struct tag){random_below(2) ? VLAN_Q : VLAN_AD, random_below(65536)};
}

static void insert(struct packet *packet, unsigned at, unsigned size)
{
	if (at > packet->len || packet->len + size > MUTATE_ROOM)
		return;
	memmove(packet->data + at + size, packet->data + at, packet->len - at);
	packet->len += size;
	for (unsigned i = 0; i < size; i++)
		packet->data[at + i] = random_below(256);
}

static void insert_tag(struct packet *packet)
{
	insert(packet, 12, 4);
	packet->data[12] = random_below(2) ? 0x81 : 0x88;
	packet->data[13] = packet->data[12] == 0x81 ? 0x00 : 0xa8;
	packet->l3 += 4;
	packet->l4 += 4;
}

/* Options that the header knows of: words for IPv4, a header that names what was next for IPv6. */
static void insert_options(struct packet *packet)
{
	static const __u8 types[] = {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, 51, 60};
	__u8 *ip = packet->data + packet->l3;
	unsigned len;

	if (ip[0] >> 4 == 4 && (ip[0] & 15) < 15) {
		insert(packet, packet->l3 + 20, 4);
		ip[0]++;
		len = ((ip[2] << 8) | ip[3]) + 4;
		ip[2] = len >> 8;
		ip[3] = len;
	} else if (ip[0] >> 4 == 6) {
		insert(packet, packet->l3 + 40, 8);
		ip[40] = ip[6];
		ip[41] = random_below(8) ? 0 : random_below(256);
		ip[42] = ip[43] = 0;
		ip[6] = RANDOM_OF(types);
		len = ((ip[4] << 8) | ip[5]) + 8;
		ip[4] = len >> 8;
		ip[5] = len;
	}
}

/* Bytes that are lengths, or headers' kinds, in one header or another. */
static void change_length(struct packet *packet)
{
	static const __u8 ip_places[] = {0, 2, 3, 4, 5, 6, 7, 8, 9, 40, 41};
	static const __u8 l4_places[] = {0, 2, 4, 5, 6, 12, 13, 8, 10, 11};
	static const __u8 values[] = {0, 1, 2, 4, 5, 6, 7, 8, 15, 17, 20, 40, 43, 44, 60, 0x45, 0x4f, 0x50, 0xff};
	unsigned at;

	if (random_below(2))
		at = packet->l3 + RANDOM_OF(ip_places);
	else
		at = packet->l4 + RANDOM_OF(l4_places);
	if (at >= packet->len)
		return;
	if (random_below(2))
		packet->data[at] = RANDOM_OF(values);
	else
		packet->data[at] += random_below(2) ? 1 : -1;
}

void packet_mutate(struct packet *packet)
{
	unsigned headers = packet->len < 200 ? packet->len : 200;
	unsigned at = random_below(headers);

	switch (random_below(10)) {
	case 0:
	case 1:
		packet->data[at] ^= 1 << random_below(8);
		break;
	case 2:
		packet->data[at] = random_below(256);
		break;
	case 3:
		if (packet->len > 15)
			packet->len = 14 + random_below(packet->len - 14);
		break;
	case 4:
		insert(packet, packet->len, random_below(64));
		break;
	case 5:
		insert_tag(packet);
		break;
	case 6:
		insert_options(packet);
		break;
	default:
		change_length(packet);
	}
}
