/* SPDX-License-Identifier: Apache-2.0 */
/* Which packets a group has: a kind of packet is the steps of a connection, and how many connections take turns. */
#include "subject.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/text.h"

#define REQUEST 32 /* bytes of a packet that carries any */
#define LAST (1 + 12 * REQUEST) /* of the sequence numbers, before the FIN */
#define BATCH_BITS 8
#define LIFE_SEQ (1 << 17) /* further apart than what a new connection's first packet may be from its SYN */

struct step {
	unsigned flags;
	unsigned seq; /* from the ISN on */
	bool data;
};

static const struct load {
	int proto;
	unsigned batch_bits, step_bits; /* of connections at a time, of steps */
	unsigned seq_stride;
	struct step step[BENCH_MAX_STEPS];
} loads[BENCH_PACKETS] = {
	[BENCH_PACKET_ACK] = {IPPROTO_TCP, .step = {{ACK, 1}}},
	[BENCH_PACKET_SYN] = {IPPROTO_TCP, .step = {{SYN, 0}}},
	[BENCH_PACKET_UDP] = {IPPROTO_UDP, .step = {{.data = true}}},
	[BENCH_PACKET_HANDSHAKE] = {IPPROTO_TCP, BATCH_BITS, 1, LIFE_SEQ, {{SYN, 0}, {ACK, 1}}},
	[BENCH_PACKET_MIXED] = {IPPROTO_TCP,
				BATCH_BITS,
				4,
				LIFE_SEQ,
				{{SYN, 0},
				 {ACK, 1},
#define DATA(n)                                                                                                        \
	{                                                                                                              \
		PSH | ACK, 1 + (n)*REQUEST, true                                                                       \
	}
				 DATA(0),
				 DATA(1),
				 DATA(2),
				 DATA(3),
				 DATA(4),
				 DATA(5),
				 DATA(6),
				 DATA(7),
				 DATA(8),
				 DATA(9),
				 DATA(10),
				 DATA(11),
#undef DATA
				 {FIN | ACK, LAST},
				 {ACK, LAST + 1}}},
};

static unsigned step_count(const struct load *load)
{
	return 1U << load->step_bits;
}

int subject_proto(const struct bench_group *group)
{
	return loads[group->packet].proto;
}

/* What nat would make of a request is to wait for the answer, which is not sent here: then it is the server that speaks. */
static unsigned payload(const struct bench_group *group, const struct step *step)
{
	return step->data && (group->forward != BENCH_FORWARD_NAT || group->packet == BENCH_PACKET_UDP) ? REQUEST : 0;
}

/* With what follows the packet in a frame whose length is that of the longest step's. */
static void take_step(const struct subject *subject, const struct step *step, struct spec *spec)
{
	const struct load *load = &loads[subject->group.packet];
	unsigned most = 0;

	for (unsigned i = 0; i < step_count(load); i++)
		if (payload(&subject->group, &load->step[i]) > most)
			most = payload(&subject->group, &load->step[i]);
	spec->flags = step->flags;
	spec->seq = SUBJECT_ISN + step->seq;
	spec->payload = payload(&subject->group, step);
	spec->trailer = most - spec->payload;
}

/* Of the size that Linux sends: TCP with its timestamps, and never to be fragmented. */
static struct spec flow_spec(const struct subject *subject, unsigned flow, struct names *names)
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
		.tcp_options = tcp ? 12 : 0,
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
	struct spec spec = flow_spec(subject, subject_flow(last, flows), names);

	take_step(subject, &load->step[step_count(load) - 1], &spec);
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

/* Of flow 0. Its bytes beyond the headers are those of `frame`, the one that the kernel is given. */
static struct bench_step frame_step(const struct subject *subject, const struct spec *spec)
{
	bool v4 = subject->group.family == BENCH_FAMILY_V4, tcp = spec->proto == IPPROTO_TCP;
	__u32 client = make_addr(spec->src).word[3];
	static struct packet packet;

	packet_build(spec, NULL, &packet);
	return (struct bench_step){
		.seq = spec->seq,
		.length = read16(packet.data + packet.l3 + (v4 ? 2 : 4)),
		.ip_sum = sum_without(read16(packet.data + packet.l3 + 10), client, ~0U, 0xffff),
		.transport_sum = sum_without(read16(packet.data + packet.l4 + (tcp ? 16 : 6)), client,
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
	};
	memcpy(frame->client, &client, sizeof(frame->client));
	memcpy(frame->service, &service, sizeof(frame->service));
	memcpy(frame->dmac, packet->data, 6);
	memcpy(frame->smac, packet->data + 6, 6);
}

void subject_load(struct subject *subject)
{
	const struct load *load = &loads[subject->group.packet];
	unsigned longest = 0;
	struct names names;
	struct spec spec = flow_spec(subject, 0, &names);

	for (unsigned i = 0; i < step_count(load); i++)
		if (load->step[i].data)
			longest = i;
	take_step(subject, &load->step[longest], &spec);
	packet_build(&spec, NULL, &subject->packet);
	fill_frame(subject, &subject->packet, &subject->frame);
	subject->frame.batch_bits = load->batch_bits;
	subject->frame.step_bits = load->step_bits;
	subject->frame.seq_stride = load->seq_stride;
	subject->bytes = 0;
	for (unsigned i = 0; i < step_count(load); i++) {
		take_step(subject, &load->step[i], &spec);
		subject->frame.step[i] = frame_step(subject, &spec);
		subject->bytes += subject->packet.len - subject->packet.l3 - spec.trailer;
	}
}

void subject_packet(const struct subject *subject, unsigned flags, unsigned seq, struct packet *packet,
		    struct bench_frame *frame)
{
	struct names names;
	struct spec spec = flow_spec(subject, 0, &names);

	take_step(subject, &(struct step){flags, seq, subject->group.packet == BENCH_PACKET_UDP}, &spec);
	packet_build(&spec, NULL, packet);
	fill_frame(subject, packet, frame);
	frame->step[0] = frame_step(subject, &spec);
}
