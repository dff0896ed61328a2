/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_packet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTER "192.0.2.254"
#define GUE_FIRST_PORT 49152

static void refuse(const char *what, const char *value)
{
	fprintf(stderr, "a test's packet: %s '%s'\n", what, value);
	abort();
}

static bool is_v6(const char *addr)
{
	return strchr(addr, ':') != NULL;
}

static unsigned addr_bytes(const char *text, __u8 ret[16])
{
	bool v6 = is_v6(text);

	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, ret) != 1)
		refuse("address", text);
	return v6 ? 16 : 4;
}

void mac_parse(const char *name, __u8 ret[6])
{
	__u8 addr[16];

	if (!strcmp(name, "front") || !strcmp(name, "back")) {
		memcpy(ret, (__u8[]){2, 0, 0, 0, 0, *name == 'f' ? 1 : 2}, 6);
	} else if (sscanf(name, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", ret, ret + 1, ret + 2, ret + 3, ret + 4,
			  ret + 5) != 6) {
		bool v6 = addr_bytes(name, addr) == 16;

		ret[0] = 2;
		ret[1] = v6 ? 6 : 4;
		memcpy(ret + 2, v6 ? addr + 4 : addr, 2);
		memcpy(ret + 4, v6 ? addr + 14 : addr + 2, 2);
	}
}

unsigned packet_sum(const void *data, unsigned len, unsigned start)
{
	const __u8 *byte = data;
	unsigned long sum = start;

	for (unsigned i = 0; i < len; i++)
		sum += i % 2 ? byte[i] : byte[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

unsigned packet_transport_sum(const __u8 *l3, const __u8 *l4, unsigned len, unsigned proto)
{
	bool v6 = l3[0] >> 4 == 6;
	unsigned sum = packet_sum(l3 + (v6 ? 8 : 12), v6 ? 32 : 8, 0);

	return packet_sum(l4, len, sum + len + proto);
}

static __u8 *put(struct packet *p, const char *name, unsigned size)
{
	__u8 *at = p->data + p->len;

	if (p->len + size > PACKET_ROOM || p->mark_count == PACKET_MARKS)
		refuse("no room for", name);
	p->marks[p->mark_count].name = name;
	p->marks[p->mark_count++].at = p->len;
	p->len += size;
	memset(at, 0, size);
	return at;
}

static void put8(struct packet *p, const char *name, unsigned value)
{
	*put(p, name, 1) = value;
}

static void set16(__u8 *at, unsigned value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static __u8 *put16(struct packet *p, const char *name, unsigned value)
{
	__u8 *at = put(p, name, 2);

	set16(at, value);
	return at;
}

static void put32(struct packet *p, const char *name, unsigned value)
{
	__u8 *at = put(p, name, 4);

	set16(at, value >> 16);
	set16(at + 2, value);
}

static void put_addr(struct packet *p, const char *name, const char *addr)
{
	__u8 bytes[16];
	unsigned size = addr_bytes(addr, bytes);

	memcpy(put(p, name, size), bytes, size);
}

static void put_link(struct packet *p, const struct spec *spec, bool v6)
{
	mac_parse(spec->to_mac ? spec->to_mac : "front", put(p, "eth.dst", 6));
	mac_parse(spec->from_mac ? spec->from_mac : ROUTER, put(p, "eth.src", 6));
	for (int i = 0; i < 2 && spec->tag[i].tpid; i++) {
		put16(p, "vlan.tpid", spec->tag[i].tpid);
		put16(p, "vlan.tci", spec->tag[i].tci);
	}
	put16(p, "eth.type", spec->ethertype ? spec->ethertype : v6 ? 0x86dd : 0x0800);
	p->l3 = p->len;
}

/* The checksum of the header is written by finish_ipv4(), once its length is known. */
static void put_ipv4(struct packet *p, const struct spec *spec)
{
	unsigned ihl = spec->ihl ? spec->ihl % 16 : 5 + spec->ip_options / 4;
	__u8 *options;

	put8(p, "ip.version_ihl", (spec->version ? spec->version : 4) << 4 | ihl);
	put8(p, "ip.tos", spec->tos);
	put16(p, "ip.tot_len", 0);
	put16(p, "ip.id", spec->id);
	put16(p, "ip.frag_off", spec->frag);
	put8(p, "ip.ttl", spec->ttl ? spec->ttl % 256 : 64);
	put8(p, "ip.protocol", spec->proto ? spec->proto : IPPROTO_TCP);
	put16(p, "ip.check", 0);
	put_addr(p, "ip.saddr", spec->src);
	put_addr(p, "ip.daddr", spec->dst);
	options = put(p, "ip.options", spec->ip_options);
	memset(options, 1, spec->ip_options); /* no-operation */
}

static void finish_ipv4(struct packet *p, const struct spec *spec, unsigned l3, unsigned length)
{
	__u8 *ip = p->data + l3;

	set16(ip + 2, spec->length ? spec->length % 65536 : length);
	set16(ip + 10, ~packet_sum(ip, 20 + spec->ip_options, 0));
}

static void put_ext(struct packet *p, const struct extension *ext, unsigned next)
{
	__u8 *at = put(p, "ipv6.ext", ext->len);

	at[0] = next;
	if (ext->type == IPPROTO_FRAGMENT) {
		set16(at + 2, ext->fragment);
		set16(at + 6, ext->id ? ext->id : 42);
		return;
	}
	at[1] = ext->len / 8 - 1;
	if (ext->type == IPPROTO_ROUTING) {
		at[3] = ext->segments_left;
		return;
	}
	for (unsigned i = 2, pad; i < ext->len; i += pad) {
		pad = ext->len - i > 200 ? 200 : ext->len - i;
		at[i] = pad > 1;
		if (pad > 1)
			at[i + 1] = pad - 2;
	}
}

static void put_ipv6(struct packet *p, const struct spec *spec)
{
	unsigned proto = spec->proto ? spec->proto : IPPROTO_TCP;

	put32(p, "ipv6.class_label", (spec->version ? spec->version : 6) << 28 | spec->tos << 20 | spec->id);
	put16(p, "ipv6.payload_len", 0);
	put8(p, "ipv6.nexthdr", spec->ext[0].len ? spec->ext[0].type : proto);
	put8(p, "ipv6.hop_limit", spec->ttl ? spec->ttl % 256 : 64);
	put_addr(p, "ipv6.saddr", spec->src);
	put_addr(p, "ipv6.daddr", spec->dst);
	for (const struct extension *ext = spec->ext; ext->len; ext++)
		put_ext(p, ext, ext[1].len ? ext[1].type : proto);
}

static void put_payload(struct packet *p, const struct spec *spec)
{
	__u8 *at = put(p, "payload", spec->payload);

	for (unsigned i = 0; i < spec->payload; i++)
		at[i] = i * 7 + spec->filler * 13 + (i >> 8) + 1;
	if (spec->word && spec->payload >= 2)
		set16(at, spec->word);
	for (const char *text = spec->data; text && *text; text += 2) {
		text += strspn(text, " ");
		if (at == p->data + p->len || sscanf(text, "%2hhx", at++) != 1)
			refuse("data", spec->data);
	}
}

static void put_tcp_options(struct packet *p, const struct spec *spec)
{
	__u8 *at = put(p, "tcp.options", spec->tcp_options);

	memset(at, 1, spec->tcp_options); /* no-operation */
	for (unsigned i = 0; spec->options && (__u8)spec->options[i] != 0xff; i++)
		at[i] = spec->options[i];
	if (!spec->mss)
		return;
	at[spec->mss_at] = 2;
	at[spec->mss_at + 1] = 4;
	set16(at + spec->mss_at + 2, spec->mss);
}

static void put_tcp(struct packet *p, const struct spec *spec)
{
	unsigned doff = spec->doff ? spec->doff % 16 : 5 + spec->tcp_options / 4;

	put16(p, "tcp.source", spec->sport);
	put16(p, "tcp.dest", spec->dport);
	put32(p, "tcp.seq", spec->seq);
	put32(p, "tcp.ack", spec->ack);
	put8(p, "tcp.doff", doff << 4);
	put8(p, "tcp.flags", spec->flags);
	put16(p, "tcp.window", spec->no_window ? 0 : 4096);
	put16(p, "tcp.check", 0);
	put16(p, "tcp.urg", 0);
	put_tcp_options(p, spec);
	put_payload(p, spec);
}

static void put_udp(struct packet *p, const struct spec *spec)
{
	put16(p, "udp.source", spec->sport);
	put16(p, "udp.dest", spec->dport);
	put16(p, "udp.len", spec->udp_length ? spec->udp_length % 65536 : 8 + spec->payload);
	put16(p, "udp.check", 0);
	put_payload(p, spec);
}

static unsigned put_ip_packet(struct packet *p, const struct spec *spec);

static void put_icmp(struct packet *p, const struct spec *spec)
{
	unsigned l4;

	put8(p, "icmp.type", spec->icmp_type);
	put8(p, "icmp.code", spec->icmp_code);
	put16(p, "icmp.check", 0);
	put32(p, "icmp.rest", spec->icmp_rest);
	if (spec->quote) {
		/* Built in full, so that the quoted checksums are those of the whole packet; then cut off. */
		l4 = put_ip_packet(p, spec->quote);
		if (l4 + spec->quote_l4 < p->len)
			p->len = l4 + spec->quote_l4;
		while (p->mark_count && p->marks[p->mark_count - 1].at > p->len)
			p->mark_count--;
	}
	put_payload(p, spec);
}

static unsigned check_at(unsigned proto)
{
	return proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
}

static void finish_transport(struct packet *p, const struct spec *spec, unsigned l3, unsigned l4, unsigned proto)
{
	unsigned len = p->len - l4, value;
	__u8 *at = p->data + l4 + check_at(proto);

	if (spec->check == CHECK_PARTIAL)
		value = packet_transport_sum(p->data + l3, NULL, 0, proto) + len;
	else if (proto == IPPROTO_ICMP)
		value = ~packet_sum(p->data + l4, len, 0) & 0xffff;
	else
		value = ~packet_transport_sum(p->data + l3, p->data + l4, len, proto) & 0xffff;
	value = (value & 0xffff) + (value >> 16);
	if (!value && proto == IPPROTO_UDP)
		value = 0xffff;
	if (spec->check == CHECK_NONE)
		value = 0;
	if (spec->check == CHECK_VALUE)
		value = spec->check_value;
	set16(at, value);
}

/* The IP packet, without a link header: where its transport begins. */
static unsigned put_ip_packet(struct packet *p, const struct spec *spec)
{
	unsigned proto = spec->proto ? spec->proto : IPPROTO_TCP;
	unsigned l3 = p->len, l4;
	bool v6 = is_v6(spec->src);

	if (v6)
		put_ipv6(p, spec);
	else
		put_ipv4(p, spec);
	l4 = p->len;
	if (proto == IPPROTO_TCP)
		put_tcp(p, spec);
	else if (proto == IPPROTO_UDP)
		put_udp(p, spec);
	else if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		put_icmp(p, spec);
	else
		put_payload(p, spec);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		finish_transport(p, spec, l3, l4, proto);
	if (v6)
		set16(p->data + l3 + 4, spec->length ? spec->length % 65536 : p->len - l3 - 40);
	else
		finish_ipv4(p, spec, l3, p->len - l3);
	return l4;
}

static const struct packet *same_place(const struct packet *like, unsigned offset, unsigned size)
{
	return like && like->len >= offset + size ? like : NULL;
}

static unsigned inner_protocol(const struct spec *spec)
{
	return is_v6(spec->src) ? IPPROTO_IPV6 : IPPROTO_IPIP;
}

static void put_outer_ip(struct packet *p, const struct spec *spec, const struct packet *like)
{
	const struct tunnel *outer = spec->outer;
	struct spec header = {
		.src = outer->src, .dst = outer->dst, .tos = outer->tos, .frag = outer->frag, .ttl = outer->ttl};
	const struct packet *from;

	header.proto = outer->gue_port ? IPPROTO_UDP : inner_protocol(spec);
	if (is_v6(outer->src)) {
		/* The flow label is any. */
		from = same_place(like, p->l3, 4);
		if (from)
			header.id =
				(from->data[p->l3 + 1] & 15) << 16 | from->data[p->l3 + 2] << 8 | from->data[p->l3 + 3];
		put_ipv6(p, &header);
		return;
	}
	from = same_place(like, p->l3 + 4, 2);
	if (outer->id_given && from)
		header.id = from->data[p->l3 + 4] << 8 | from->data[p->l3 + 5];
	put_ipv4(p, &header);
}

/* The length is written by finish_outer(). No checksum, version 0, no optional fields, private data where it names an alternate. */
static void put_gue(struct packet *p, const struct spec *spec, const struct packet *like)
{
	const struct packet *from = same_place(like, p->len, 2);
	const char *alternate = spec->outer->alternate;
	unsigned source = from ? from->data[p->len] << 8 | from->data[p->len + 1] : 0;

	put16(p, "gue.udp.source", source >= GUE_FIRST_PORT ? source : GUE_FIRST_PORT);
	put16(p, "gue.udp.dest", spec->outer->gue_port);
	put16(p, "gue.udp.len", 0);
	put16(p, "gue.udp.check", 0);
	put8(p, "gue.version_length", !alternate ? 0 : is_v6(alternate) ? 5 : 2);
	put8(p, "gue.protocol", inner_protocol(spec));
	put16(p, "gue.flags", 0);
	if (!alternate)
		return;
	put16(p, "gue.alternates.type", is_v6(alternate));
	put8(p, "gue.alternates.next", spec->outer->alternate_used);
	put8(p, "gue.alternates.count", 1);
	put_addr(p, "gue.alternates.addr", alternate);
}

static void put_outer(struct packet *p, const struct spec *spec, const struct packet *like)
{
	put_outer_ip(p, spec, like);
	if (spec->outer->gue_port)
		put_gue(p, spec, like);
}

static void finish_outer(struct packet *p, const struct spec *spec)
{
	unsigned header = is_v6(spec->outer->src) ? 40 : 20;
	static const struct spec plain;

	if (spec->outer->gue_port)
		set16(p->data + p->l3 + header + 4, p->len - p->l3 - header);
	if (header == 40)
		set16(p->data + p->l3 + 4, p->len - p->l3 - header);
	else
		finish_ipv4(p, &plain, p->l3, p->len - p->l3);
}

void set_fragment(struct spec *spec, unsigned offset, bool more, unsigned id)
{
	if (is_v6(spec->src)) {
		spec->ext[0] =
			(struct extension){.type = IPPROTO_FRAGMENT, .len = 8, .fragment = offset | more, .id = id};
	} else {
		spec->frag = offset / 8 | (more ? IPV4_MF : 0);
		spec->id = id;
	}
}

void packet_build(const struct spec *spec, const struct packet *like, struct packet *ret)
{
	struct packet *p = ret;
	unsigned inner;

	memset(p, 0, sizeof(*p));
	put_link(p, spec, is_v6(spec->outer ? spec->outer->src : spec->src));
	if (spec->outer)
		put_outer(p, spec, like);
	inner = p->len;
	p->l4 = put_ip_packet(p, spec);
	p->ip_len = p->len - inner;
	if (spec->outer)
		finish_outer(p, spec);
	memset(put(p, "trailer", spec->trailer), 0xa5, spec->trailer);
	if (spec->cut && spec->cut < p->len)
		p->len = spec->cut;
}

static void print_bytes(const char *what, const __u8 *data, unsigned len, unsigned limit)
{
	fprintf(stderr, "%s", what);
	for (unsigned i = 0; i < len && i < limit; i++)
		fprintf(stderr, "%02x", data[i]);
	if (len > limit)
		fprintf(stderr, "… (%u bytes)", len);
}

static void print_rows(const char *what, const struct packet *p, const struct packet *other)
{
	fprintf(stderr, "  %s, %u bytes:\n", what, p->len);
	for (unsigned row = 0; row < p->len && row < 256; row += 16) {
		fprintf(stderr, "  %04x", row);
		for (unsigned i = row; i < row + 16 && i < p->len; i++)
			fprintf(stderr, "%c%02x", i >= other->len || p->data[i] != other->data[i] ? '*' : ' ',
				p->data[i]);
		fprintf(stderr, "\n");
	}
}

bool packet_same(const struct packet *want, const struct packet *got)
{
	if (want->len == got->len && !memcmp(want->data, got->data, want->len))
		return true;
	if (want->len != got->len)
		fprintf(stderr, "  length: want %u, got %u\n", want->len, got->len);
	for (unsigned i = 0; i < want->mark_count; i++) {
		unsigned at = want->marks[i].at;
		unsigned end = i + 1 < want->mark_count ? want->marks[i + 1].at : want->len;

		if (end > got->len)
			end = got->len;
		if (at >= end || !memcmp(want->data + at, got->data + at, end - at))
			continue;
		fprintf(stderr, "  %s at %u:", want->marks[i].name, at);
		print_bytes(" want ", want->data + at, end - at, 24);
		print_bytes(", got ", got->data + at, end - at, 24);
		fprintf(stderr, "\n");
	}
	print_rows("want", want, got);
	print_rows("got", got, want);
	return false;
}
