/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `canaryctl doctor` that look at the ways to backends. */
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/interface.h"
#include "cli/output.h"
#include "cli/ways.h"
#include "core/text.h"

enum {
	MAX_FOUND = 20, /* of one kind: a network that is down has no need of a thousand lines */
	SMALLEST_V4 = 576, /* what every host has to take (RFC 791); less is met nowhere */
	SMALLEST_V6 = 1280, /* and every path (RFC 8200) */
};

/* Calls back with the way to each backend. */
static void for_each_way(struct doctor *doctor,
			 void (*call)(struct doctor *doctor, const struct service_model *service,
				      const struct backend_model *backend, const struct way *way, void *arg),
			 void *arg)
{
	for (size_t i = 0; i < doctor->model.service_count; i++) {
		const struct service_model *service = &doctor->model.services[i];

		for (size_t j = 0; j < service->backend_count; j++) {
			struct way way;

			way_find(doctor->netlink, service, &service->backends[j], &way);
			call(doctor, service, &service->backends[j], &way, arg);
		}
	}
}

struct tally {
	size_t good, bad;
};

/* Of the bad ones the first are told one by one. */
static bool is_told(struct tally *tally)
{
	return tally->bad++ < MAX_FOUND;
}

static void sum_up(struct doctor *doctor, const struct tally *tally, const char *what)
{
	if (tally->bad > MAX_FOUND)
		found(doctor, FINDING_PROBLEM, NULL, "%zu more like these", tally->bad - MAX_FOUND);
	if (tally->good)
		found(doctor, FINDING_OK, NULL, "%zu %s", tally->good, what);
	else if (!tally->bad)
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "there are no backends");
}

static void judge_route(struct doctor *doctor, const struct service_model *service, const struct backend_model *backend,
			const struct way *way, void *arg)
{
	struct tally *tally = arg;
	char addr[ADDR_TEXT_LEN];

	if (!*way->fault) {
		tally->good++;
	} else if (is_told(tally)) {
		found(doctor, FINDING_PROBLEM, format_addr(&backend->addr, addr), "%s: %s", service->name, way->fault);
		advise(doctor, "%s", way->remedy);
	}
}

/* Does the program see what comes in by it: as it is attached, or something in it (a bond, a bridge), or below it (VLANs)? */
static bool is_seen(const struct doctor *doctor, unsigned ifindex)
{
	struct link link;

	for (size_t i = 0; i < doctor->attached_count; i++) {
		const struct interface *attached = &doctor->attached[i];

		if (attached->gone || attached->netns != netns_inode())
			continue;
		if (attached->ifindex == ifindex ||
		    (!netlink_link_by_index(doctor->netlink, attached->ifindex, &link) && link.master == ifindex))
			return true;
	}
	return !netlink_link_by_index(doctor->netlink, ifindex, &link) && link.lower && is_seen(doctor, link.lower);
}

static bool was_answered(const struct doctor *doctor, const struct service_model *service)
{
	struct canary_cohort_counters counters;

	for (enum canary_cohort cohort = 0; cohort < CANARY_COHORTS; cohort++)
		if (!dataplane_cohort_counters(doctor->dataplane, service->id, cohort, &counters) &&
		    counters.count[CANARY_COHORT_REPLY_PACKETS])
			return true;
	return false;
}

/*
 * In nat answers have to be seen as well. They come in by the interface that the backend is reached by, or nobody can say by
 * which: but where some have come, that may be well.
 */
static void judge_answers(struct doctor *doctor, const struct service_model *service)
{
	char name[IF_NAMESIZE] = "?";

	for (size_t i = 0; i < service->backend_count; i++) {
		struct way way;

		way_find(doctor->netlink, service, &service->backends[i], &way);
		if (*way.fault || is_seen(doctor, way.route.ifindex))
			continue;
		if_indextoname(way.route.ifindex, name);
		found(doctor, was_answered(doctor, service) ? FINDING_WARNING : FINDING_PROBLEM, service->name,
		      "nat, and %s, by which its backends are reached, is not attached: answers that come in there "
		      "reach "
		      "no client",
		      name);
		advise(doctor, "run canaryctl attach %s", copyable(name));
		return;
	}
}

void check_routes(struct doctor *doctor)
{
	struct tally tally = {};

	if (!doctor_sees_ways(doctor))
		return;
	for_each_way(doctor, judge_route, &tally);
	sum_up(doctor, &tally, "backends have a way that fits");
	for (size_t i = 0; i < doctor->model.service_count; i++)
		if (doctor->model.services[i].forward == CANARY_FORWARD_NAT)
			judge_answers(doctor, &doctor->model.services[i]);
}

/* "canaryctl attach eth0 eth1": for all that is attached here. */
static const char *attach_command(const struct doctor *doctor, char buf[256])
{
	int len = snprintf(buf, 256, "canaryctl attach");

	for (size_t i = 0; i < doctor->patient_count && len < 256; i++)
		if (doctor->patients[i].attached && !doctor->patients[i].decap)
			len += snprintf(buf + len, 256 - (size_t)len, " %s", copyable(doctor->patients[i].link.name));
	return buf;
}

struct hop {
	unsigned ifindex;
	struct canary_addr addr;
};

struct hops {
	struct hop *items;
	size_t count;
};

static void add_hop(struct doctor *doctor, const struct service_model *service, const struct backend_model *backend,
		    const struct way *way, void *arg)
{
	struct hops *hops = arg;

	(void)doctor;
	(void)service;
	(void)backend;
	if (way->err || way->route.local)
		return;
	/* Grows at powers of two, from 1. */
	if (!(hops->count & (hops->count - 1)))
		hops->items = must(reallocarray(hops->items, hops->count ? 2 * hops->count : 1, sizeof(*hops->items)));
	hops->items[hops->count++] = (struct hop){way->route.ifindex, way->route.next_hop};
}

static int compare_hops(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hop));
}

static void judge_hop(struct doctor *doctor, const struct hop *hop, struct tally *tally)
{
	char addr[ADDR_TEXT_LEN], name[IF_NAMESIZE] = "?", command[256];

	if (netlink_neighbour_resolved(doctor->netlink, hop->ifindex, &hop->addr) == 1) {
		tally->good++;
		return;
	}
	if (!is_told(tally))
		return;
	if_indextoname(hop->ifindex, name);
	found(doctor, FINDING_PROBLEM, format_addr(&hop->addr, addr),
	      "no answer to %s on %s: packets by it are dropped as no_neighbour", resolution_of(&hop->addr), name);
	advise(doctor, "see that it is up and on that network, then run %s", attach_command(doctor, command));
}

void check_neighbours(struct doctor *doctor)
{
	struct tally tally = {};
	struct hops hops = {};

	if (!doctor_sees_ways(doctor))
		return;
	for_each_way(doctor, add_hop, &hops);
	if (hops.count)
		qsort(hops.items, hops.count, sizeof(*hops.items), compare_hops);
	for (size_t i = 0; i < hops.count; i++)
		if (!i || compare_hops(&hops.items[i - 1], &hops.items[i]) != 0)
			judge_hop(doctor, &hops.items[i], &tally);
	sum_up(doctor, &tally, "next hops are resolved");
	free(hops.items);
}

/*
 * The largest packets that clients send, as far as that can be told: those that the other interfaces take or, where they
 * come in by the one that they leave by, and routers may have made the network wider for tunnels, those of Ethernet.
 */
static unsigned largest(const struct doctor *doctor, const struct link *way)
{
	unsigned mtu = 0;

	for (size_t i = 0; i < doctor->patient_count; i++) {
		const struct patient *patient = &doctor->patients[i];

		if (patient->attached && !patient->decap && patient->link.ifindex != way->ifindex &&
		    mtu < patient->link.mtu)
			mtu = patient->link.mtu;
	}
	if (!mtu)
		mtu = way->mtu < ETH_DATA_LEN ? way->mtu : ETH_DATA_LEN;
	return mtu;
}

/* The narrowest way of a service. */
struct narrow {
	const struct service_model *service;
	struct link link; /* by which */
	unsigned overhead;
	int room; /* for the packet inside */
};

static void find_narrow(struct doctor *doctor, struct narrow *narrow)
{
	const struct service_model *service = narrow->service;

	for (size_t i = 0; i < service->backend_count; i++) {
		unsigned overhead = service_overhead(service, &service->backends[i]);
		struct link link;
		struct way way;
		int room;

		way_find(doctor->netlink, service, &service->backends[i], &way);
		if (way.err || way.route.local || netlink_link_by_index(doctor->netlink, way.route.ifindex, &link))
			continue;
		room = (int)link.mtu - (int)overhead;
		if (!narrow->link.ifindex || room < narrow->room)
			*narrow = (struct narrow){service, link, overhead, room};
	}
}

/* Returns whether all is well. */
static bool judge_room(struct doctor *doctor, const struct narrow *narrow)
{
	unsigned wanted = largest(doctor, &narrow->link);
	bool v4 = addr_is_v4(&narrow->service->addr);
	const struct link *link = &narrow->link;
	char header[64] = "";

	if (!link->ifindex || narrow->room >= (int)wanted)
		return true;
	if (narrow->overhead)
		snprintf(header, sizeof(header), ", %s's header of %u taken off,",
			 forward_name(narrow->service->forward), narrow->overhead);
	if (narrow->room < (v4 ? SMALLEST_V4 : SMALLEST_V6))
		found(doctor, FINDING_PROBLEM, narrow->service->name,
		      "the MTU of %s%s leaves %d bytes: less than %s has to have, so connections hang", link->name,
		      header, narrow->room, v4 ? "an IPv4 path" : "every IPv6 path");
	else
		found(doctor, FINDING_WARNING, narrow->service->name,
		      "the MTU of %s%s leaves %d bytes, and clients may send %u: what is larger is dropped as too_big, "
		      "and its sender told",
		      link->name, header, narrow->room, wanted);
	advise(doctor, "run ip link set %s mtu %u, if all of that network takes it, or give clients a smaller MTU",
	       copyable(link->name), wanted + narrow->overhead);
	return false;
}

void check_mtu(struct doctor *doctor)
{
	size_t good = 0;

	if (!doctor_sees_ways(doctor))
		return;
	for (size_t i = 0; i < doctor->model.service_count; i++) {
		struct narrow narrow = {.service = &doctor->model.services[i]};

		find_narrow(doctor, &narrow);
		good += judge_room(doctor, &narrow);
	}
	if (good)
		found(doctor, FINDING_OK, NULL, "%zu service%s: as large as clients send", good, good == 1 ? "" : "s");
}
