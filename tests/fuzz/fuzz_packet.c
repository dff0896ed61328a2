/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet path, compiled for user space (tests/model), and frames of any bytes: what lib_check.h says must hold, and
 * nothing outside the frame is read or written (AddressSanitizer).
 *
 * Input: the canary's weight, in 1/255; then frames one after the other, each with a head of four bytes: what (see
 * below), how much time passes before it, its length (two bytes, little-endian).
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib_traffic.h"
#include "fuzz/packet_world.h"
#include "model/datapath.h"

enum {
	FRAME_BACK = 1, /* it comes in at the back */
	FRAME_PARTIAL = 2, /* senders there may leave checksums to their device */
	FRAME_FIX = 4, /* its checksums are made right */
	FRAME_ANSWER = 8, /* its bytes do not matter: it is an answer to what was last forwarded */
	FRAME_GENERIC = 16, /* the interface is attached in generic mode */
	FRAME_TURN = 32, /* before it, stable's weight is the canary's, and who belongs elsewhere then is reset */
	FRAME_MAX = 4096, /* bytes */
	HEAD = 4,
	HEADROOM = 256,
	TAILROOM = 64,
	STEP_NS = 20000000, /* of time */
};

struct head {
	unsigned what, time, len;
};

static __u8 buffer[HEADROOM + PACKET_ROOM + TAILROOM] __attribute__((aligned(8)));

/* False: there is no whole frame at *data. */
static bool take_frame(const __u8 **data, size_t *size, struct head *head, struct packet *ret)
{
	if (*size < HEAD)
		return false;
	*head = (struct head){(*data)[0], (*data)[1], (*data)[2] | (*data)[3] << 8};
	if (head->len > *size - HEAD)
		head->len = *size - HEAD;
	if (head->len > FRAME_MAX)
		return false;
	ret->len = head->len;
	memcpy(ret->data, *data + HEAD, head->len);
	*data += HEAD + head->len;
	*size -= HEAD + head->len;
	return true;
}

static void fix_checksums(struct packet *packet)
{
	struct frame frame;

	if (frame_read(packet->data, packet->len, &frame) && frame.sound)
		frame_fix_checks(packet->data, &frame);
}

static void print_frame(const char *name, const __u8 *data, unsigned len)
{
	fprintf(stderr, "%s, %u bytes:", name, len);
	for (unsigned i = 0; i < len; i++)
		fprintf(stderr, "%s%02x", i % 32 ? " " : "\n  ", data[i]);
	fprintf(stderr, "\n");
}

static void fail_run(const char *problem, const struct check_run *run)
{
	fprintf(stderr, "%s; verdict %d on interface %u\n", problem, run->verdict, run->interface);
	print_frame("in", run->in.data, run->in.len);
	print_frame("out", run->out.data, run->out.len);
	abort();
}

/* The buffer is as a NIC leaves it: what is around the frame is not zero. *sent: what was forwarded, if anything was. */
static void run_frame(const struct head *head, const struct packet *in, struct check_tally *tally, struct packet *sent)
{
	unsigned ifindex = head->what & FRAME_BACK ? PACKET_WORLD_BACK : PACKET_WORLD_FRONT;
	struct shim_frame frame = {.data = (unsigned long)(buffer + HEADROOM),
				   .data_end = (unsigned long)(buffer + HEADROOM + in->len),
				   .ingress_ifindex = ifindex,
				   .start = buffer,
				   .end = buffer + HEADROOM + in->len + TAILROOM};
	struct check_run run = {.world = &packet_world,
				.interface = ifindex - 1,
				.partial = head->what & FRAME_PARTIAL,
				.in = {in->data, in->len}};
	const char *problem;

	memset(buffer, 0xff, HEADROOM + in->len + TAILROOM);
	memcpy(buffer + HEADROOM, in->data, in->len);
	packet_world_interface(ifindex, (run.partial ? CANARY_INTERFACE_PARTIAL_CHECKSUMS : 0) |
						(head->what & FRAME_GENERIC ? CANARY_INTERFACE_GENERIC : 0));
	shim_frame_guard(&frame);
	run.verdict = datapath_frame(&frame);
	shim_frame_open(&frame);
	run.out = (struct check_bytes){(const __u8 *)frame.data, frame.data_end - frame.data};
	problem = check_packet(&run, tally);
	if (problem)
		fail_run(problem, &run);
	if (run.verdict != XDP_TX && run.verdict != XDP_REDIRECT)
		return;
	sent->len = run.out.len;
	memcpy(sent->data, run.out.data, run.out.len);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static struct packet packet, sent;
	struct check_tally tally = {};
	struct check_counts before, after;
	const char *problem;
	struct head head;
	unsigned weight;

	if (!size)
		return 0;
	packet_world_forget();
	weight = *data++ * (unsigned)CANARY_WEIGHT_ONE / 255;
	size--;
	packet_world_weight(weight, false);
	sent.len = 0;
	before = packet_world_counts();
	while (take_frame(&data, &size, &head, &packet)) {
		const char *to = head.what & FRAME_BACK ? "back" : "front";

		shim_now_ns += head.time * (__u64)STEP_NS;
		shim_timers_run(false);
		if (head.what & FRAME_TURN) {
			weight = CANARY_WEIGHT_ONE - weight;
			packet_world_weight(weight, true);
		}
		random_seed(head.len);
		if (head.what & FRAME_ANSWER && !traffic_answer(&sent, to, &packet))
			continue;
		if (head.what & FRAME_FIX)
			fix_checksums(&packet);
		if (packet.len >= sizeof(struct ethhdr))
			run_frame(&head, &packet, &tally, &sent);
	}
	after = packet_world_counts();
	problem = check_counted(&before, &after, &tally);
	if (!problem)
		return 0;
	fprintf(stderr, "%s\n", problem);
	abort();
}

static void put_frame(__u8 *at, const struct head *head, const struct packet *packet)
{
	at[0] = head->what;
	at[1] = head->time;
	at[2] = packet->len;
	at[3] = packet->len >> 8;
	memcpy(at + HEAD, packet->data, packet->len);
}

/* A frame more, of a client, backend or router: the new size. */
static size_t append_frame(__u8 *data, size_t size, size_t max)
{
	static struct packet packet;
	struct head head = {.what = random_below(8), .time = random_below(8) ? random_below(3) : random_below(256)};

	head.what |= random_below(8) ? 0 : FRAME_GENERIC;
	head.what |= random_below(8) ? 0 : FRAME_TURN;
	if (random_below(4)) {
		traffic_packet(head.what & FRAME_BACK ? "back" : "front", &packet);
	} else {
		head.what |= FRAME_ANSWER;
		packet.len = random_below(16);
	}
	if (packet.len > FRAME_MAX || size + HEAD + packet.len > max)
		return size;
	put_frame(data + size, &head, &packet);
	return size + HEAD + packet.len;
}

/* One of the frames damaged, as frames are: lengths, options, tags, and checksums over that. */
static size_t damage_frame(__u8 *data, size_t size, size_t max)
{
	static struct packet packet;
	static __u8 rest[1 << 16];
	const __u8 *at = data + 1, *from = at;
	size_t left = size - 1;
	struct frame frame;
	struct head head;

	for (unsigned n = random_below(8) + 1; n && take_frame(&at, &left, &head, &packet); n--)
		from = at - HEAD - head.len;
	if (from == at || left > sizeof(rest) || !frame_read(packet.data, packet.len, &frame))
		return size;
	packet.l3 = frame.l3;
	packet.l4 = frame.l4;
	traffic_damage(&packet);
	if (packet.len > FRAME_MAX || (size_t)(from - data) + HEAD + packet.len + left > max)
		return size;
	memcpy(rest, at, left);
	put_frame(data + (from - data), &head, &packet);
	memcpy(data + (from - data) + HEAD + packet.len, rest, left);
	return (size_t)(from - data) + HEAD + packet.len + left;
}

size_t LLVMFuzzerMutate(__u8 *data, size_t size, size_t max);

size_t LLVMFuzzerCustomMutator(__u8 *data, size_t size, size_t max, unsigned seed)
{
	random_seed(seed);
	if (!size)
		data[size++] = random_below(256);
	switch (random_below(4)) {
	case 0:
		return append_frame(data, size, max);
	case 1:
	case 2:
		return damage_frame(data, size, max);
	default:
		return LLVMFuzzerMutate(data, size, max);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	packet_world_make();
	return 0;
}
