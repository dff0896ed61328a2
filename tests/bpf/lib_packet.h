/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets for tests: described as a value, built in one place, compared field by field. The input and what is expected
 * of it are both described, so an expectation never comes from the code under test. Checksums are right by default,
 * computed by the plain definition (RFC 1071) over the finished bytes.
 */
#ifndef LIB_PACKET_H
#define LIB_PACKET_H

#include <linux/types.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	PACKET_ROOM = 9 * 1024,
	PACKET_MARKS = 128,
	TTL_ZERO = 256, /* 0 in a description means the usual one */
	LENGTH_ZERO = 65536, /* the same for lengths */
	VLAN_Q = 0x8100,
	VLAN_AD = 0x88a8,
	IPV4_DF = 0x4000,
	IPV4_MF = 0x2000,
	FIN = 1,
	SYN = 2,
	RST = 4,
	PSH = 8,
	ACK = 16,
	URG = 32,
};

enum check {
	CHECK_RIGHT,
	CHECK_NONE, /* 0 */
	CHECK_PARTIAL, /* the pseudo-header's sum, as a stack leaves it to its device */
	CHECK_VALUE, /* .check_value */
};

struct tag {
	unsigned tpid; /* 0: no tag */
	unsigned tci;
};

/* An IPv6 extension header, filled with PadN. */
struct extension {
	unsigned type;
	unsigned len; /* bytes, a multiple of 8; 0: no header */
	unsigned segments_left; /* routing */
	unsigned fragment; /* fragment: offset and flags as they stand there */
	unsigned id; /* fragment: identification; 0: 42 */
};
#define EXT(TYPE, LEN)                                                                                                 \
	{                                                                                                              \
		.type = (TYPE), .len = (LEN)                                                                           \
	}

struct tunnel {
	const char *src, *dst;
	unsigned tos;
	unsigned frag; /* flags and fragment offset */
	unsigned
		gue_port; /* UDP and GUE follow, to this port, from a dynamic one of the sender's choice. 0: they do not */
	unsigned ttl; /* 0: 64 */
	const char *alternate; /* gue: named in the header's private data, as the only one ... */
	bool alternate_used; /* ... and tried by now */
	bool id_given; /* IPv4: the identification is the sender's choice: taken from the packet compared with */
};

struct spec {
	/* "front", "back": our interfaces; an address: its owner's; else six bytes in hexadecimal. */
	const char *from_mac, *to_mac; /* default: from the clients' router to "front" */
	struct tag tag[2];
	unsigned ethertype; /* 0: as the addresses are */
	const struct tunnel *outer;

	const char *src, *dst; /* IPv4 or IPv6 */
	unsigned ttl; /* 0: 64 */
	unsigned tos;
	unsigned id;
	unsigned frag; /* flags and fragment offset */
	unsigned ip_options; /* bytes, a multiple of 4 */
	unsigned version; /* 0: the right one */
	unsigned ihl; /* 0: the right one; 16: 0 */
	unsigned length; /* IPv4: total, IPv6: payload; 0: the right one */
	struct extension ext[10];

	unsigned proto; /* 0: TCP */
	unsigned sport, dport;
	unsigned flags, seq, ack; /* TCP */
	bool no_window; /* TCP: a window of 0 */
	unsigned tcp_options; /* bytes, a multiple of 4 */
	unsigned mss, mss_at; /* if not 0: the segment size, in an option of its own so many bytes into the options */
	const char *options; /* the first bytes of the options, up to a 0xff */
	unsigned doff; /* 0: the right one; 16: 0 */
	unsigned udp_length; /* 0: the right one */
	enum check check;
	unsigned check_value;

	unsigned icmp_type, icmp_code, icmp_rest;
	const struct spec *quote; /* ICMP: the packet that is quoted, from its IP header on */
	unsigned quote_l4; /* bytes of its transport that are quoted */

	unsigned payload; /* bytes */
	unsigned filler; /* what they are made from */
	unsigned word; /* the first two of them, if not 0 */
	const char *data; /* what they begin with, in hexadecimal; spaces say nothing */
	unsigned trailer; /* bytes after the IP packet */
	unsigned cut; /* the frame ends here; 0: where it should */
};

struct packet {
	__u8 data[PACKET_ROOM];
	unsigned len;
	unsigned l3; /* where the IP header is (the outer one) */
	unsigned l4; /* the transport's, of the inner one */
	unsigned ip_len; /* as counted: of the inner packet */
	struct {
		const char *name;
		unsigned at;
	} marks[PACKET_MARKS];
	unsigned mark_count;
};

/* Makes it a part of the packet `id`, `offset` bytes (a multiple of 8) from its beginning. */
void set_fragment(struct spec *spec, unsigned offset, bool more, unsigned id);

/* `like`: where fields that a sender may choose are taken from; may be NULL. */
void packet_build(const struct spec *spec, const struct packet *like, struct packet *ret);

/* True if they are the same; else prints the fields that differ, and both as hexadecimal. */
bool packet_same(const struct packet *want, const struct packet *got);

void mac_parse(const char *name, __u8 ret[6]);
/* The sum of the 16-bit words of some bytes, folded: 0xffff over a part that includes its right checksum. */
unsigned packet_sum(const void *data, unsigned len, unsigned start);
/* The same, with the pseudo-header of the packet at l3 for a transport of `len` bytes at l4. */
unsigned packet_transport_sum(const __u8 *l3, const __u8 *l4, unsigned len, unsigned proto);

#endif
