/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fleet/fleet.h"

enum { FLOWS = 24, SYN = MODEL_SYN, ACK = MODEL_ACK };

static struct flow {
	bool alive;
	struct canary_tuple tuple;
	__u32 isn;
	unsigned host;
	int backend;
	struct fleet_view view; /* that it was born under */
	bool exposed;
	__u64 last_ns;
} flows[FLOWS];
static unsigned births;

void flows_clear(void)
{
	memset(flows, 0, sizeof(flows));
	births = 0;
}

/* A host that the router may send packets to; HOSTS: there is none. */
static unsigned some_host(void)
{
	unsigned first = pick(HOSTS);

	for (unsigned i = 0; i < HOSTS; i++)
		if (host_is_announced((first + i) % HOSTS))
			return (first + i) % HOSTS;
	return HOSTS;
}

/* Would another view that its host knows of, or packets in mid-flow there, choose another backend? */
static bool is_exposed(const struct flow *flow)
{
	const struct fleet_record *record = host_record(flow->host);
	struct fleet_state have = plane_have(flow->host);

	if (plane_choose(&have.fallback, &flow->tuple) != flow->backend ||
	    plane_choose(&have.now, &flow->tuple) != flow->backend)
		return true;
	/* A daemon that has just started does not know: it counts all. */
	return !record || record->mixed ||
	       (record->window && plane_choose(&record->oldest, &flow->tuple) != flow->backend);
}

static void be_born(struct flow *flow)
{
	unsigned host = some_host();

	if (host == HOSTS)
		return;
	*flow = (struct flow){.alive = true, .isn = (__u32)shim_random(), .host = host, .last_ns = shim_now_ns};
	births++;
	flow->tuple =
		(struct canary_tuple){.client = {{0, 0, __builtin_bswap32(0xffff), births}},
				      .service = {{0, 0, __builtin_bswap32(0xffff), __builtin_bswap32(0x0a000001)}},
				      .client_port = (__u16)(1000 + pick(60000)),
				      .port = 80,
				      .proto = 6};
	flow->view = plane_have(host).now;
	flow->backend = plane_packet(host, &flow->tuple, SYN, flow->isn).backend;
	flow->exposed = is_exposed(flow);
	fleet_result->exposed += flow->exposed;
	if (plane_packet(host, &flow->tuple, ACK, flow->isn + 1).backend != flow->backend)
		fleet_violated("flow %d moves within its handshake", (int)(flow - flows));
}

static void end(struct flow *flow)
{
	flow->alive = false;
}

static void reroute(struct flow *flow)
{
	unsigned host = flow->host;

	if (!host_is_announced(host) || one_in(8))
		host = some_host();
	fleet_result->moves += host != flow->host;
	flow->host = host;
}

static void send_packet(struct flow *flow)
{
	struct plane_verdict verdict;

	reroute(flow);
	if (flow->host == HOSTS || shim_now_ns - flow->last_ns > PLANE_IDLE_NS) {
		end(flow);
		return;
	}
	flow->last_ns = shim_now_ns;
	fleet_result->packets++;
	verdict = plane_packet(flow->host, &flow->tuple, ACK, flow->isn + 100000);
	if (verdict.backend == flow->backend)
		return;
	if (!flow->exposed) {
		fleet_violated("flow %d, which was born settled, moves from backend %d to %d on host %u",
			       (int)(flow - flows), flow->backend, verdict.backend, flow->host);
	} else if (verdict.alternate == flow->backend) {
		fleet_result->saved++;
	} else {
		fleet_result->broken++;
		end(flow);
	}
}

void flows_run(void)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *flow = &flows[i];

		if (!flow->alive) {
			if (one_in(20))
				be_born(flow);
		} else if (one_in(120)) {
			end(flow);
		} else if (one_in(4)) {
			send_packet(flow);
		}
	}
}
