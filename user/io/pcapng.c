/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pcapng.h"

#include <errno.h>
#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	NANOSECONDS = 9, /* if_tsresol: 10^-9 s */
	VERDICT_XDP = 2, /* epb_verdict: "Linux_eBPF_XDP" */
};

/* Options, each of its kind of block. */
enum {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2,
	INTERFACE_DESCRIPTION = 3,
	INTERFACE_TSRESOL = 9,
	PACKET_FLAGS = 2,
	PACKET_DROPCOUNT = 4,
	PACKET_ID = 5,
	PACKET_VERDICT = 7,
};

/* A block, in memory until it is whole: a type, the length, what it holds, the length once more. */
struct block {
	__u32 len;
	_Alignas(8) __u8 bytes[PCAPNG_MAX_FRAME + 3 * PCAPNG_MAX_TEXT];
};

/* All that is put is of bounded size, and together fits: see the block's size. */
static void put(struct block *block, const void *bytes, size_t size)
{
	size_t padded = (size + 3) / 4 * 4;

	memcpy(block->bytes + block->len, bytes, size);
	memset(block->bytes + block->len + size, 0, padded - size);
	block->len += padded;
}

static void put_u32(struct block *block, __u32 value)
{
	put(block, &value, sizeof(value));
}

static void begin_block(struct block *block, __u32 type)
{
	block->len = 0;
	put_u32(block, type);
	put_u32(block, 0); /* the length, when it is known */
}

static void put_option(struct block *block, __u16 code, const void *bytes, __u16 size)
{
	const __u16 head[] = {code, size};

	put(block, head, sizeof(head));
	put(block, bytes, size);
}

static void put_text(struct block *block, __u16 code, const char *text)
{
	put_option(block, code, text, strnlen(text, PCAPNG_MAX_TEXT));
}

static int end_block(struct block *block, FILE *file)
{
	__u32 len = block->len + 2 * sizeof(__u32);

	put_u32(block, OPTION_END);
	put_u32(block, len);
	memcpy(block->bytes + sizeof(__u32), &len, sizeof(len));
	errno = 0;
	if (fwrite(block->bytes, len, 1, file) != 1)
		return errno ? -errno : -EIO;
	return 0;
}

int pcapng_begin(FILE *file, const char *application)
{
	const __u16 version[] = {1, 0};
	const __s64 unknown = -1; /* the section's length: it goes on to the end */
	struct block block;

	begin_block(&block, BLOCK_SECTION);
	put_u32(&block, BYTE_ORDER_MAGIC);
	put(&block, version, sizeof(version));
	put(&block, &unknown, sizeof(unknown));
	put_text(&block, SECTION_APPLICATION, application);
	return end_block(&block, file);
}

int pcapng_add_interface(FILE *file, const char *name, const char *description, __u32 snaplen)
{
	const __u16 linktype[] = {LINKTYPE_ETHERNET, 0};
	const __u8 resolution = NANOSECONDS;
	struct block block;

	begin_block(&block, BLOCK_INTERFACE);
	put(&block, linktype, sizeof(linktype));
	put_u32(&block, snaplen);
	put_text(&block, INTERFACE_NAME, name);
	put_text(&block, INTERFACE_DESCRIPTION, description);
	put_option(&block, INTERFACE_TSRESOL, &resolution, sizeof(resolution));
	return end_block(&block, file);
}

int pcapng_add_packet(FILE *file, const struct pcapng_packet *packet)
{
	const __u32 flags = packet->direction;
	const __u64 action = packet->verdict;
	__u8 verdict[1 + sizeof(action)] = {VERDICT_XDP};
	struct block block;

	if (packet->captured > PCAPNG_MAX_FRAME)
		return -EMSGSIZE;
	memcpy(verdict + 1, &action, sizeof(action));
	begin_block(&block, BLOCK_PACKET);
	put_u32(&block, packet->interface);
	put_u32(&block, (__u64)packet->time_ns >> 32);
	put_u32(&block, (__u32)packet->time_ns);
	put_u32(&block, packet->captured);
	put_u32(&block, packet->length);
	put(&block, packet->frame, packet->captured);
	put_text(&block, OPTION_COMMENT, packet->comment);
	put_option(&block, PACKET_FLAGS, &flags, sizeof(flags));
	put_option(&block, PACKET_DROPCOUNT, &packet->dropped, sizeof(packet->dropped));
	put_option(&block, PACKET_ID, &packet->id, sizeof(packet->id));
	put_option(&block, PACKET_VERDICT, verdict, sizeof(verdict));
	return end_block(&block, file);
}
