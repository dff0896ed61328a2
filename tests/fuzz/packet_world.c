/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/packet_world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib_traffic.h"
#include "canary/select.h"
#include "core/text.h"
#include "io/config.h"
#include "model/world.h"

enum {
	RING_SIZE = 5,
	RING_WORDS = 2,
	ARENA_FIRST = 16,
	MTU = 1500,
	VLAN_DEVICE = 3, /* ifindex, on the back */
	/* The last byte of an address. */
	HOST_UNKNOWN = 99,
	HOST_ON_VLAN = 12,
	HOST_ON_VLAN6 = 0x12,
	HOST_ROUTER = 254,
};

struct check_world packet_world;

static struct model services;

/* 10.0.0.0/24 and 2001:db8:10::/64 are at the back, the rest at the front, behind a router. */
static bool is_at_back(const struct bpf_fib_lookup *fib)
{
	if (fib->family == AF_INET)
		return ntohl(fib->ipv4_dst) >> 8 == 0x0a0000;
	return ntohl(fib->ipv6_dst[1]) >> 16 == 0x10;
}

static long route(struct bpf_fib_lookup *fib)
{
	__be32 *last = fib->family == AF_INET ? &fib->ipv4_dst : &fib->ipv6_dst[3];
	unsigned host = ntohl(*last) & 0xff;
	bool back = is_at_back(fib);

	if (host == HOST_UNKNOWN)
		return BPF_FIB_LKUP_RET_NO_NEIGH;
	if (!back)
		*last = (*last & ~htonl(0xff)) | htonl(HOST_ROUTER);
	fib->ifindex = back ? PACKET_WORLD_BACK : PACKET_WORLD_FRONT;
	fib->mtu_result = MTU;
	memcpy(fib->smac, packet_world.mac[fib->ifindex - 1], sizeof(fib->smac));
	memcpy(fib->dmac, (__u8[]){2, 4, 0, 0, 0, host}, sizeof(fib->dmac));
	if (back && (host == HOST_ON_VLAN || host == HOST_ON_VLAN6))
		fib->ifindex = VLAN_DEVICE;
	return BPF_FIB_LKUP_RET_SUCCESS;
}

static void make_interface(unsigned ifindex, const char *name)
{
	struct canary_interface *interface = datapath_interface(ifindex);

	interface->ifindex = ifindex;
	snprintf(interface->name, sizeof(interface->name), "%s", name);
	mac_parse(name, interface->mac);
	memcpy(packet_world.mac[ifindex - 1], interface->mac, sizeof(interface->mac));
}

static void make_backend(__u32 service, struct backend_model *backend, __u32 index, bool tunnel)
{
	if (tunnel && parse_addr(addr_is_v4(&backend->addr) ? "10.0.0.1" : "2001:db8:10::1", &backend->tunnel_source))
		abort();
	backend->index = index;
	*datapath_backend(index) = (struct canary_backend){.addr = backend->addr,
							   .tunnel_source = backend->tunnel_source,
							   .port = htons(backend->port),
							   .flags = CANARY_BACKEND_LIVE,
							   .service = service};
}

static void make_ring(const struct service_model *service, enum canary_cohort cohort, struct canary_ring *ring)
{
	static __u32 next = ARENA_FIRST;
	__u32 slot = 0;

	*ring = (struct canary_ring){.base = next, .size = RING_SIZE};
	next += RING_WORDS;
	while (slot < RING_SIZE)
		for (size_t i = 0; i < service->backend_count && slot < RING_SIZE; i++)
			if (service->backends[i].cohort == cohort) {
				*datapath_arena(canary_ring_word(ring, slot)) |=
					(__u64)service->backends[i].index << slot % CANARY_RING_SLOTS_PER_WORD * 16;
				slot++;
			}
}

static void make_config(__u32 id, const struct service_model *service)
{
	struct canary_config *config = datapath_config(id, 0);

	*config = (struct canary_config){.forward = service->forward,
					 .gue_port = htons(6080),
					 .affinity = service->affinity,
					 .track = service->track,
					 .weight = service->weight,
					 .assignment = 1,
					 .salt = id,
					 .idle_timeout = service_idle_timeout(service),
					 .max_window = service_max_window(service),
					 .handshake_timeout = service->handshake_timeout,
					 .ratio = service->breaker_ratio,
					 .arl = service->breaker_arl};
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		make_ring(service, cohort, &config->ring[cohort]);
	for (size_t i = 0; i < service->segment_count; i++) {
		config->segment_set = id;
		datapath_segment(id, &service->segments[i].addr, service->segments[i].prefix_len,
				 service->segments[i].cohort);
	}
	world_derive(config);
}

static void make_service(__u32 id, struct service_model *service)
{
	static __u32 index;
	const struct canary_operation operation = {
		.type = CANARY_OP_ADD, .id = id, .word = 1ULL << CANARY_WORD_EPOCH_SHIFT};

	service->id = id;
	datapath_service(id)->key = (struct canary_service_key){
		.addr = service->addr, .port = htons(service->port), .proto = service->proto};
	for (size_t i = 0; i < service->backend_count; i++)
		make_backend(id, &service->backends[i], ++index,
			     service->forward == CANARY_FORWARD_IPIP || service->forward == CANARY_FORWARD_GUE);
	make_config(id, service);
	datapath_measure(id);
	if (datapath_commit(&operation, 1))
		abort();
}

void packet_world_make(void)
{
	struct error error;

	if (config_load(TRAFFIC_SERVICES, &services, &error)) {
		fprintf(stderr, "%s\n", error.text);
		abort();
	}
	shim_fib = route;
	datapath_init();
	datapath_clear();
	packet_world.model = &services;
	packet_world_forget();
	make_interface(PACKET_WORLD_FRONT, "front");
	make_interface(PACKET_WORLD_BACK, "back");
	datapath_vlan(VLAN_DEVICE,
		      &(struct canary_egress){.ifindex = PACKET_WORLD_BACK,
					      .tag_count = 2,
					      .tag = {{htons(VLAN_AD), htons(100)}, {htons(VLAN_Q), htons(7)}}});
	for (__u32 i = 0; i < sizeof(struct canary_keys) / 4; i++)
		((__u32 *)datapath_keys())[i] = shim_random();
	for (size_t i = 0; i < services.service_count; i++)
		make_service(i + 1, &services.services[i]);
}

void packet_world_forget(void)
{
	datapath_forget();
	shim_seed(1);
	shim_now_ns = 1000 * WORLD_SECOND_NS;
	datapath_arm();
}

void packet_world_weight(unsigned weight, bool reset)
{
	for (size_t i = 0; i < services.service_count; i++) {
		struct canary_config *config = datapath_config(i + 1, 0);

		config->weight = weight;
		config->reset_ns = reset ? shim_now_ns : 0;
		world_derive(config);
	}
}

void packet_world_interface(unsigned ifindex, unsigned flags)
{
	datapath_interface(ifindex)->flags = flags;
}

struct check_counts packet_world_counts(void)
{
	struct check_counts counts = {};

	check_add_interface(&counts, datapath_interface_counters(PACKET_WORLD_FRONT));
	check_add_interface(&counts, datapath_interface_counters(PACKET_WORLD_BACK));
	for (size_t i = 0; i < services.service_count; i++) {
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			check_add_cohort(&counts, datapath_cohort_counters(i + 1, cohort));
		for (size_t j = 0; j < services.services[i].backend_count; j++)
			check_add_backend(&counts, datapath_backend_counters(services.services[i].backends[j].index));
	}
	return counts;
}
