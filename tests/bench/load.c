/* SPDX-License-Identifier: Apache-2.0 */
/* Which packets a group has: a kind of packet is the steps of a connection, and how many connections take turns. */
#include "subject.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/text.h"

#define DATAGRAM 32 /* bytes; TCP's packets carry none */
#define BATCH_BITS 8
#define LIFE_SEQ (1 << 17) /* further apart than what a new connection's first packet may be from its SYN */

struct step {
	unsigned flags;
	unsigned seq; /* from the ISN on */
};

static const struct load {
	int proto;
	unsigned batch_bits, step_bits; /* of connections at a time, of steps */
	unsigned seq_stride;
	struct step step[BENCH_MAX_STEPS];
} loads[BENCH_PACKETS] = {
	[BENCH_PACKET_ACK] = {IPPROTO_TCP, .step = {{ACK, 1}}},
	[BENCH_PACKET_SYN] = {IPPROTO_TCP, .step = {{SYN, 0}}},
	[BENCH_PACKET_UDP] = {IPPROTO_UDP},
	[BENCH_PACKET_HANDSHAKE] = {IPPROTO_TCP, BATCH_BITS, 1, LIFE_SEQ, {{SYN, 0}, {ACK, 1}}},
	[BENCH_PACKET_MIXED] =
		{IPPROTO_TCP, BATCH_BITS, 4, LIFE_SEQ, {{SYN, 0}, [1 ... 13] = {ACK, 1}, {FIN | ACK, 1}, {ACK, 2}}},
};

/*
 * What opens flows for good. nat watches on until the server has spoken, or the client says that it has nothing to say:
 * flows that are closing are steered as others are.
 */
static const struct load two_datagrams = {IPPROTO_UDP, BATCH_BITS, .step_bits = 1};
static const struct load half_closed = {IPPROTO_TCP, BATCH_BITS, 2,
					.step = {{SYN, 0}, {ACK, 1}, {FIN | ACK, 1}, {ACK, 2}}};

static unsigned step_count(const struct load *load)
{
	return 1U << load->step_bits;
}

int subject_proto(const struct bench_group *group)
{
	return loads[group->packet].proto;
}

/* A flow's packet, of the size that Linux sends: TCP with its timestamps, and never to be fragmented. */
static struct spec step_spec(const struct subject *subject, const struct step *step, unsigned flow, struct names *names)
{
	struct canary_addr client = make_addr(subject_clients(&subject->group));
	bool tcp = subject_proto(&subject->group) == IPPROTO_TCP;

	client.word[3] += htonl(flow % BENCH_HOSTS);
	format_addr(&client, names->client);
	return (struct spec){
		.src = names->client,
		.dst = subject_address(&subject->group),
		.frag = IPV4_DF,
		.proto = subject_proto(&subject->group),
		.sport = BENCH_FIRST_PORT + (flow >> BENCH_HOST_BITS),
		.dport = subject->port,
		.flags = step->flags,
		.seq = SUBJECT_ISN + step->seq,
		.tcp_options = tcp ? 12 : 0,
		.payload = tcp ? 0 : DATAGRAM,
	};
}

unsigned subject_connections(const struct bench_group *group, unsigned runs)
{
	return runs >> loads[group->packet].step_bits;
}

unsigned subject_whole_runs(const struct bench_group *group, unsigned runs)
{
	unsigned batch = 1U << (loads[group->packet].batch_bits + loads[group->packet].step_bits);

	return (runs + batch - 1) / batch * batch;
}

unsigned subject_flow(unsigned connection, enum bench_flows flows)
{
	return connection * SUBJECT_STRIDE & (bench_flow_count(flows) - 1);
}

struct spec subject_last_spec(const struct subject *subject, unsigned runs, enum bench_flows flows, struct names *names)
{
	const struct load *load = &loads[subject->group.packet];
	unsigned last = subject_connections(&subject->group, runs) - 1;
	struct spec spec = step_spec(subject, &load->step[step_count(load) - 1], subject_flow(last, flows), names);

	spec.seq += (subject->frame.life + last / bench_flow_count(flows)) * load->seq_stride;
	return spec;
}

static __u16 read16(const __u8 *at)
{
	__u16 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* What is left of a checksum's sum without some of its words: one's complement, so to subtract is to add the inverse. */
static __u16 sum_without(__u16 check, __u32 source, __u32 word, __u16 port)
{
	__u32 sum = (__u16)~check + (__u16)~source + (__u16) ~(source >> 16) + (__u16)~word + (__u16) ~(word >> 16) +
		    (__u16)~port;

	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* Of flow 0. */
static struct bench_step frame_step(const struct spec *spec, const struct packet *packet)
{
	bool tcp = spec->proto == IPPROTO_TCP;
	__u32 client = make_addr(spec->src).word[3];

	return (struct bench_step){
		.seq = spec->seq,
		.transport_sum = sum_without(read16(packet->data + packet->l4 + (tcp ? 16 : 6)), client,
					     tcp ? htonl(spec->seq) : ~0U, htons(spec->sport)),
		.tcp_flags = spec->flags,
	};
}

static void fill_frame(const struct subject *subject, const struct packet *packet, struct bench_frame *frame)
{
	struct canary_addr client = make_addr(subject_clients(&subject->group));
	struct canary_addr service = make_addr(subject_address(&subject->group));

	*frame = (struct bench_frame){
		.stride = SUBJECT_STRIDE,
		.length = packet->len,
		.family = subject->group.family == BENCH_FAMILY_V4 ? 4 : 6,
		.proto = subject_proto(&subject->group),
		.dest_port = htons(subject->port),
		.ip_sum = sum_without(read16(packet->data + packet->l3 + 10), client.word[3], ~0U, 0xffff),
	};
	memcpy(frame->client, &client, sizeof(frame->client));
	memcpy(frame->service, &service, sizeof(frame->service));
	memcpy(frame->dmac, packet->data, 6);
	memcpy(frame->smac, packet->data + 6, 6);
}

static void make_load(const struct subject *subject, const struct load *load, struct packet *packet,
		      struct bench_frame *frame)
{
	for (unsigned i = step_count(load); i-- > 0;) {
		struct names names;
		struct spec spec = step_spec(subject, &load->step[i], 0, &names);

		packet_build(&spec, NULL, packet);
		if (i == step_count(load) - 1)
			fill_frame(subject, packet, frame);
		frame->step[i] = frame_step(&spec, packet);
	}
	frame->batch_bits = load->batch_bits;
	frame->step_bits = load->step_bits;
	frame->seq_stride = load->seq_stride;
}

void subject_load(struct subject *subject)
{
	make_load(subject, &loads[subject->group.packet], &subject->packet, &subject->frame);
}

unsigned subject_opening(const struct subject *subject, struct packet *packet, struct bench_frame *frame)
{
	const struct load *load = &loads[BENCH_PACKET_HANDSHAKE];

	if (subject_proto(&subject->group) == IPPROTO_UDP)
		load = &two_datagrams;
	else if (subject->group.forward == BENCH_FORWARD_NAT && subject->group.observe != BENCH_OBSERVE_OFF)
		load = &half_closed;
	make_load(subject, load, packet, frame);
	return step_count(load);
}
