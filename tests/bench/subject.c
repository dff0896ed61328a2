/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/text.h"

#define ROUTER "192.0.2.254"
#define PORT 80
#define BACKEND_PORT 8080

/* All backends are where the clients' router is, so that what goes on goes out where it came in. */
static const struct side_of_family {
	const char *service, *no_service, *endpoint;
	const char *stable, *canary; /* without ports */
	const char *nat_stable, *nat_canary;
	const char *tunnel_source;
	const char *clients; /* the benchmarks' own networks (RFC 2544, RFC 5180); the flow's host is added */
} sides[BENCH_FAMILIES] = {
	[BENCH_FAMILY_V4] =
		{
			.service = "203.0.113.10",
			.no_service = "203.0.113.99",
			.endpoint = "203.0.113.10:80",
			.stable = "192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.14 192.0.2.15 192.0.2.16",
			.canary = "192.0.2.21 192.0.2.22 192.0.2.23 192.0.2.24 192.0.2.25 192.0.2.26",
			.nat_stable = "192.0.2.11:8080 192.0.2.12:8080 192.0.2.13:8080 192.0.2.14:8080 "
				      "192.0.2.15:8080 192.0.2.16:8080",
			.nat_canary = "192.0.2.21:8080 192.0.2.22:8080 192.0.2.23:8080 192.0.2.24:8080 "
				      "192.0.2.25:8080 192.0.2.26:8080",
			.tunnel_source = "10.0.0.1",
			.clients = "198.18.0.0",
		},
	[BENCH_FAMILY_V6] =
		{
			.service = "2001:db8:5::10",
			.no_service = "2001:db8:5::99",
			.endpoint = "[2001:db8:5::10]:80",
			.stable = "2001:db8:2::11 2001:db8:2::12 2001:db8:2::13 2001:db8:2::14 2001:db8:2::15 "
				  "2001:db8:2::16",
			.canary = "2001:db8:2::21 2001:db8:2::22 2001:db8:2::23 2001:db8:2::24 2001:db8:2::25 "
				  "2001:db8:2::26",
			.nat_stable = "[2001:db8:2::11]:8080 [2001:db8:2::12]:8080 [2001:db8:2::13]:8080 "
				      "[2001:db8:2::14]:8080 [2001:db8:2::15]:8080 [2001:db8:2::16]:8080",
			.nat_canary = "[2001:db8:2::21]:8080 [2001:db8:2::22]:8080 [2001:db8:2::23]:8080 "
				      "[2001:db8:2::24]:8080 [2001:db8:2::25]:8080 [2001:db8:2::26]:8080",
			.tunnel_source = "2001:db8:10::1",
			.clients = "2001:2::",
		},
};

static const struct {
	enum canary_forward forward;
	bool service; /* do the packets belong to it? */
} forwards[BENCH_FORWARDS] = {
	[BENCH_FORWARD_L2] = {CANARY_FORWARD_L2, true},
	[BENCH_FORWARD_IPIP] = {CANARY_FORWARD_IPIP, true},
	[BENCH_FORWARD_NAT] = {CANARY_FORWARD_NAT, true},
	[BENCH_FORWARD_NONE] = {CANARY_FORWARD_L2, false},
};

struct names {
	char client[ADDR_TEXT_LEN], backend[ADDR_TEXT_LEN];
};

static int proto_of(const struct bench_group *group)
{
	return group->packet == BENCH_PACKET_UDP ? IPPROTO_UDP : IPPROTO_TCP;
}

/* A flow's packet, of the size that Linux sends: TCP with its timestamps, and never to be fragmented. */
static struct spec flow_spec(const struct bench_group *group, unsigned flow, struct names *names)
{
	const struct side_of_family *side = &sides[group->family];
	struct canary_addr client = make_addr(side->clients);
	bool tcp = proto_of(group) == IPPROTO_TCP;

	client.word[3] += htonl(flow % BENCH_HOSTS);
	format_addr(&client, names->client);
	return (struct spec){
		.src = names->client,
		.dst = forwards[group->forward].service ? side->service : side->no_service,
		.frag = IPV4_DF,
		.proto = proto_of(group),
		.sport = BENCH_FIRST_PORT + (flow >> BENCH_HOST_BITS),
		.dport = PORT,
		.flags = !tcp				     ? 0
			 : group->packet == BENCH_PACKET_SYN ? SYN
							     : ACK,
		.seq = group->packet == BENCH_PACKET_SYN ? SUBJECT_ISN : SUBJECT_ISN + 1,
		.tcp_options = tcp ? 12 : 0,
		.payload = tcp ? 0 : 32,
	};
}

static __u16 read16(const __u8 *at)
{
	__u16 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* What is left of a checksum's sum without the source's part: one's complement, so to subtract is to add the inverse. */
static __u16 sum_without(__u16 check, __u32 source, __u16 port)
{
	__u32 sum = (__u16)~check + (__u16)~source + (__u16) ~(source >> 16) + (__u16)~port;

	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static void fill_frame(const struct bench_group *group, const struct packet *packet, struct bench_frame *frame)
{
	const struct side_of_family *side = &sides[group->family];
	struct canary_addr client = make_addr(side->clients);
	struct canary_addr service = make_addr(forwards[group->forward].service ? side->service : side->no_service);
	bool tcp = proto_of(group) == IPPROTO_TCP;

	*frame = (struct bench_frame){
		.stride = SUBJECT_STRIDE,
		.length = packet->len,
		.family = group->family == BENCH_FAMILY_V4 ? 4 : 6,
		.proto = proto_of(group),
		.dest_port = htons(PORT),
		.ip_sum = sum_without(read16(packet->data + packet->l3 + 10), client.word[3], 0xffff),
		.transport_sum = sum_without(read16(packet->data + packet->l4 + (tcp ? 16 : 6)), client.word[3],
					     htons(BENCH_FIRST_PORT)),
	};
	memcpy(frame->client, &client, sizeof(frame->client));
	memcpy(frame->service, &service, sizeof(frame->service));
	memcpy(frame->dmac, packet->data, 6);
	memcpy(frame->smac, packet->data + 6, 6);
}

void subject_frame(const struct bench_group *group, unsigned flags, unsigned seq, struct packet *packet,
		   struct bench_frame *frame)
{
	struct names names;
	struct spec spec = flow_spec(group, 0, &names);

	spec.flags = flags;
	spec.seq = seq;
	packet_build(&spec, NULL, packet);
	fill_frame(group, packet, frame);
}

static void configure_service(const struct bench_group *group, int weight)
{
	const struct side_of_family *side = &sides[group->family];
	bool nat = group->forward == BENCH_FORWARD_NAT;

	CONFIGURE({.name = "bench",
		   .endpoint = side->endpoint,
		   .proto = proto_of(group),
		   .forward = forwards[group->forward].forward,
		   .stable = nat ? side->nat_stable : side->stable,
		   .canary = nat ? side->nat_canary : side->canary,
		   .weight = weight});
}

unsigned subject_last_flow(unsigned runs, enum bench_flows flows)
{
	return (runs - 1) * SUBJECT_STRIDE & (bench_flow_count(flows) - 1);
}

static void note_last(struct subject *subject, unsigned runs, int when)
{
	for (int flows = 0; flows < BENCH_FLOWS; flows++) {
		struct names names;
		struct spec spec = flow_spec(&subject->group, subject_last_flow(runs, flows), &names);

		subject->last[flows][when] = chosen("bench", spec.src, spec.sport, PORT)->addr;
	}
}

void subject_configure(const struct bench_group *group, unsigned last_run, struct subject *ret)
{
	struct names names;
	struct spec spec = flow_spec(group, 0, &names);

	*ret = (struct subject){.group = *group};
	packet_build(&spec, NULL, &ret->packet);
	fill_frame(group, &ret->packet, &ret->frame);
	env_fresh(NULL);
	configure_service(group, 500);
	note_last(ret, last_run, 0);
	/* One flow in twenty is not settled then: it has gone to stable, and new ones like it go to canary. */
	if (group->state == BENCH_STATE_WINDOW)
		configure_service(group, 1000);
	note_last(ret, last_run, 1);
}

static void expected_packet(const struct subject *subject, const struct spec *in, const char *backend,
			    const struct packet *like, struct packet *ret)
{
	struct tunnel outer = {sides[subject->group.family].tunnel_source, backend, .frag = IPV4_DF};
	struct spec want = *in;

	if (subject->group.forward == BENCH_FORWARD_NAT)
		want = translated(*in, FRONT, backend, BACKEND_PORT);
	else if (subject->group.forward != BENCH_FORWARD_NONE)
		want = sent_on(*in, FRONT, backend);
	if (subject->group.forward == BENCH_FORWARD_IPIP)
		want.outer = &outer;
	packet_build(&want, like, ret);
}

void subject_check(const struct subject *subject, enum bench_flows flows, unsigned runs, const struct outcome *got)
{
	struct names names;
	struct spec in = flow_spec(&subject->group, subject_last_flow(runs, flows), &names);
	static struct packet want;

	assert_int_equal(got->verdict, subject->group.forward == BENCH_FORWARD_NONE ? XDP_PASS : XDP_TX);
	for (int when = 0; when < 2; when++) {
		format_addr(&subject->last[flows][when], names.backend);
		expected_packet(subject, &in, names.backend, &got->packet, &want);
		if (want.len == got->packet.len && !memcmp(want.data, got->packet.data, want.len))
			return;
	}
	packet_same(&want, &got->packet);
	fail_msg("not the packet that the last run should have sent");
}

void subject_check_floor(const struct subject *subject, enum bench_floor floor, enum bench_flows flows, unsigned runs,
			 const struct outcome *got)
{
	struct names names;
	struct spec want = flow_spec(&subject->group, subject_last_flow(runs, flows), &names);
	struct tunnel outer = {want.dst, sides[subject->group.family].clients, .frag = IPV4_DF};
	static struct packet packet;

	assert_int_equal(got->verdict, XDP_TX);
	if (floor == BENCH_FLOOR_ADJUST) { /* what is in the new room, nobody said */
		assert_int_equal(got->packet.len, subject->packet.len + 20);
		return;
	}
	if (floor == BENCH_FLOOR_SWAP || floor == BENCH_FLOOR_IPIP) {
		want.from_mac = "front";
		want.to_mac = ROUTER;
	}
	if (floor == BENCH_FLOOR_IPIP)
		want.outer = &outer;
	packet_build(&want, &got->packet, &packet);
	if (!packet_same(&packet, &got->packet))
		fail_msg("not the packet that the floor %s should have sent", bench_floor_name(floor));
}
