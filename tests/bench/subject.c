/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

#define ROUTER "192.0.2.254"
#define PORT 80
#define BACKEND_PORT 8080 /* nat's */
#define NAMES 512

/* All backends are where the clients' router is, so that what goes on goes out where it came in. */
static const struct side_of_family {
	const char *service, *no_service;
	const char *stable, *canary;
	const char *tunnel_source;
	const char *clients; /* the benchmarks' own networks (RFC 2544, RFC 5180); the flow's host is added */
} sides[BENCH_FAMILIES] = {
	[BENCH_FAMILY_V4] =
		{
			.service = "203.0.113.10",
			.no_service = "203.0.113.99",
			.stable = "192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.14 192.0.2.15 192.0.2.16",
			.canary = "192.0.2.21 192.0.2.22 192.0.2.23 192.0.2.24 192.0.2.25 192.0.2.26",
			.tunnel_source = "10.0.0.1",
			.clients = "198.18.0.0",
		},
	[BENCH_FAMILY_V6] =
		{
			.service = "2001:db8:5::10",
			.no_service = "2001:db8:5::99",
			.stable = "2001:db8:2::11 2001:db8:2::12 2001:db8:2::13 2001:db8:2::14 2001:db8:2::15 "
				  "2001:db8:2::16",
			.canary = "2001:db8:2::21 2001:db8:2::22 2001:db8:2::23 2001:db8:2::24 2001:db8:2::25 "
				  "2001:db8:2::26",
			.tunnel_source = "2001:db8:10::1",
			.clients = "2001:2::",
		},
};

static const struct {
	enum canary_forward forward;
	bool service; /* do the packets belong to it? */
} forwards[BENCH_FORWARDS] = {
	[BENCH_FORWARD_L2] = {CANARY_FORWARD_L2, true},	   [BENCH_FORWARD_IPIP] = {CANARY_FORWARD_IPIP, true},
	[BENCH_FORWARD_GUE] = {CANARY_FORWARD_GUE, true},  [BENCH_FORWARD_NAT] = {CANARY_FORWARD_NAT, true},
	[BENCH_FORWARD_NONE] = {CANARY_FORWARD_L2, false},
};

const char *subject_clients(const struct bench_group *group)
{
	return sides[group->family].clients;
}

const char *subject_address(const struct bench_group *group)
{
	const struct side_of_family *side = &sides[group->family];

	return forwards[group->forward].service ? side->service : side->no_service;
}

/* "a b" -> "a:port b:port" */
static const char *with_port(const char *list, unsigned port, char ret[NAMES])
{
	char copy[NAMES], *rest = copy, *word;
	size_t at = 0;

	snprintf(copy, sizeof(copy), "%s", list);
	ret[0] = 0;
	while ((word = strsep(&rest, " ")) && at < NAMES)
		at += snprintf(ret + at, NAMES - at, strchr(word, ':') ? "%s[%s]:%u" : "%s%s:%u", at ? " " : "", word,
			       port);
	return ret;
}

/* A service of its own for each subject: side by side, and none's change is the other's window. */
static void configure_services(const struct subject subjects[], size_t count, int weight)
{
	char endpoint[2][NAMES], stable[2][NAMES], canary[2][NAMES];
	struct service services[2] = {};

	for (size_t i = 0; i < count; i++) {
		const struct subject *subject = &subjects[i];
		const struct side_of_family *side = &sides[subject->group.family];
		/* Two services of nat that share a backend share its view of the clients. */
		unsigned port = subject->group.forward == BENCH_FORWARD_NAT ? subject->backend_port : 0;

		services[i] = (struct service){
			.name = subject->name,
			.endpoint = with_port(side->service, subject->port, endpoint[i]),
			.proto = subject_proto(&subject->group),
			.forward = forwards[subject->group.forward].forward,
			.stable = port ? with_port(side->stable, port, stable[i]) : side->stable,
			.canary = port ? with_port(side->canary, port, canary[i]) : side->canary,
			.weight = weight,
			.no_observing = subject->group.observe == BENCH_OBSERVE_OFF,
			.observe_cap = subject->group.observe == BENCH_OBSERVE_ALL ? CANARY_WEIGHT_ONE : 0,
		};
	}
	configure(services, count);
}

static void note_last(struct subject *subject, unsigned runs, int when)
{
	for (int flows = 0; flows < BENCH_FLOWS; flows++) {
		struct names names;
		struct spec spec = subject_last_spec(subject, runs, flows, &names);

		subject->last[flows][when] = chosen(subject->name, spec.src, spec.sport, subject->port)->addr;
	}
}

size_t subject_configure(const struct bench_group *group, unsigned last_run, struct subject ret[2])
{
	size_t count = group->observe == BENCH_OBSERVE_OFF ? 1 : 2;
	/* At a quarter, all others are four times the canary's at most. */
	int weight = group->observe == BENCH_OBSERVE_ALL ? 2500 : 500;

	ret[0] = (struct subject){.group = *group, .name = "bench", .port = PORT, .backend_port = BACKEND_PORT};
	ret[1] = (struct subject){.group = *group, .name = "off", .port = PORT + 1, .backend_port = BACKEND_PORT + 1};
	ret[1].group.observe = BENCH_OBSERVE_OFF;
	env_fresh(NULL);
	configure_services(ret, count, weight);
	for (size_t i = 0; i < count; i++) {
		subject_load(&ret[i]);
		note_last(&ret[i], last_run, 0);
	}
	/* One flow in twenty is not settled then: it has gone to stable, and new ones like it go to canary. */
	if (group->state == BENCH_STATE_WINDOW)
		configure_services(ret, count, 2 * weight);
	for (size_t i = 0; i < count; i++)
		note_last(&ret[i], last_run, 1);
	return count;
}

/* alternate: a second backend that it names, or NULL. */
static void expected_packet(const struct subject *subject, const struct spec *in, const char *backend,
			    const char *alternate, const struct packet *like, struct packet *ret)
{
	struct tunnel outer = {sides[subject->group.family].tunnel_source, backend, .frag = IPV4_DF};
	struct spec want = *in;

	if (subject->group.forward == BENCH_FORWARD_NAT)
		want = translated(*in, FRONT, backend, subject->backend_port);
	else if (subject->group.forward != BENCH_FORWARD_NONE)
		want = sent_on(*in, FRONT, backend);
	if (bench_tunnels(&subject->group))
		want.outer = &outer;
	if (subject->group.forward == BENCH_FORWARD_GUE) {
		outer.gue_port = GUE_PORT;
		outer.alternate = alternate;
	}
	packet_build(&want, like, ret);
}

void subject_check(const struct subject *subject, enum bench_flows flows, unsigned runs, const struct outcome *got)
{
	const struct canary_addr *last = subject->last[flows];
	/* In the midst of a flow that is not settled. */
	bool guessed = !addr_equal(&last[0], &last[1]) && subject->group.packet == BENCH_PACKET_ACK;
	struct names names;
	struct spec in = subject_last_spec(subject, runs, flows, &names);
	char alternate[ADDR_TEXT_LEN];
	static struct packet want;

	assert_int_equal(got->verdict, subject->group.forward == BENCH_FORWARD_NONE ? XDP_PASS : XDP_TX);
	for (int when = 0; when < 2; when++) {
		format_addr(&last[when], names.backend);
		format_addr(&last[!when], alternate);
		expected_packet(subject, &in, names.backend, guessed && !when ? alternate : NULL, &got->packet, &want);
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
	struct spec want = subject_last_spec(subject, runs, flows, &names);
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
