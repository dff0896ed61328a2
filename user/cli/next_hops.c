/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "cli/next_hops.h"
#include "cli/output.h"
#include "cli/vlans.h"
#include "cli/ways.h"
#include "core/text.h"
#include "io/netlink.h"

enum {
	WAIT_MS = 1000,
	POLL_MS = 10,
	MAX_WARNINGS = 20, /* of one kind: a network that is down has no need of a thousand lines */
};

/* A backend's way, as the kernel says. */
struct hop {
	unsigned ifindex;
	struct canary_addr next_hop;
	const struct backend_model *backend;
	bool is_new; /* to be waited for */
	bool pending;
};

struct hops {
	const struct cli *cli;
	struct netlink *netlink;
	struct hop *items;
	size_t count, capacity;
	int manage_error, carrier_error; /* the first of each */
	unsigned unroutable;
	unsigned last_ifindex; /* that was set to keep its neighbours */
};

/* Only of a new one: for the others it was said when they came. */
static void warn_backend(struct hops *hops, const struct backend_model *backend, bool is_new, const char *what)
{
	char addr[ADDR_TEXT_LEN];

	if (is_new && hops->unroutable++ < MAX_WARNINGS)
		print_warning(hops->cli, "backend %s: %s", format_addr(&backend->addr, addr), what);
}

static void add_hop(struct hops *hops, const struct hop *hop)
{
	if (hops->count == hops->capacity) {
		hops->capacity = hops->capacity ? hops->capacity * 2 : 64;
		hops->items = must(realloc(hops->items, hops->capacity * sizeof(*hops->items)));
	}
	hops->items[hops->count++] = *hop;
}

static int compare_hops(const void *a, const void *b)
{
	const struct hop *x = a, *y = b;
	int order = (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);

	if (!order)
		order = memcmp(&x->next_hop, &y->next_hop, sizeof(x->next_hop));
	/* Of equal ones a new one first: it is the one that stays. */
	return order ? order : y->is_new - x->is_new;
}

static void find_way(struct hops *hops, const struct service_model *service, struct backend_model *backend, bool is_new)
{
	struct way way;
	char text[256];

	way_find(hops->netlink, service, backend, &way);
	if (way.remedy) {
		snprintf(text, sizeof(text), "%s (%s)", way.fault, way.remedy);
		warn_backend(hops, backend, is_new, text);
	}
	if (way.err) {
		/* It is not on this host any more. Where a tunnel came from stays, for when the route comes back. */
		if (addr_equal(&backend->tunnel_source, &backend->addr))
			backend->tunnel_source = (struct canary_addr){};
		return;
	}
	/* Whatever the service does now: it may come to forward through tunnels. A backend here is known by its own. */
	backend->tunnel_source = way.route.local ? backend->addr : way.route.source;
	if (!way.route.local)
		add_hop(hops, &(struct hop){way.route.ifindex, way.route.next_hop, backend, is_new, is_new});
}

static bool is_known(const struct service_model *before, const struct service_model *service,
		     const struct backend_model *backend)
{
	const struct backend_model *same = before ? service_find_backend(before, &backend->addr, backend->port) : NULL;

	return same && same->draining == backend->draining && before->forward == service->forward;
}

static void find_ways(struct hops *hops, struct model *model, const struct model *before)
{
	size_t kept = 0;

	for (size_t i = 0; i < model->service_count; i++) {
		const struct service_model *service = &model->services[i];
		const struct service_model *same = before ? model_find_same(before, service) : NULL;

		for (size_t j = 0; j < service->backend_count; j++)
			find_way(hops, service, &service->backends[j], !is_known(same, service, &service->backends[j]));
	}
	if (!hops->count)
		return;
	qsort(hops->items, hops->count, sizeof(*hops->items), compare_hops);
	for (size_t i = 1; i < hops->count; i++) {
		struct hop *last = &hops->items[kept], *hop = &hops->items[i];

		if (last->ifindex != hop->ifindex || !addr_equal(&last->next_hop, &hop->next_hop))
			hops->items[++kept] = *hop;
	}
	hops->count = kept + 1;
}

static void keep_through_carrier_loss(struct hops *hops, unsigned ifindex)
{
	char name[IF_NAMESIZE];
	int err;

	/* It may have gone meanwhile. */
	if (!if_indextoname(ifindex, name))
		return;
	err = neighbours_outlive_carrier(name, AF_INET);
	if (!err)
		err = neighbours_outlive_carrier(name, AF_INET6);
	if (err && !hops->carrier_error)
		hops->carrier_error = err;
}

static int manage(unsigned ifindex, const struct canary_addr *next_hop, void *arg)
{
	struct hops *hops = arg;
	int err = netlink_manage_neighbour(hops->netlink, ifindex, next_hop);

	if (err && !hops->manage_error)
		hops->manage_error = err;
	/* They come in the order of interfaces, by and large. */
	if (ifindex != hops->last_ifindex)
		keep_through_carrier_loss(hops, ifindex);
	hops->last_ifindex = ifindex;
	return 0;
}

static size_t poll_neighbours(struct hops *hops)
{
	size_t pending = 0;

	for (size_t i = 0; i < hops->count; i++) {
		struct hop *hop = &hops->items[i];

		if (hop->pending)
			hop->pending = netlink_neighbour_resolved(hops->netlink, hop->ifindex, &hop->next_hop) == 0;
		pending += hop->pending;
	}
	return pending;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void wait_for_neighbours(struct hops *hops)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	long long until = now_ms() + WAIT_MS;
	unsigned warned = 0;
	size_t pending;

	while ((pending = poll_neighbours(hops)) && now_ms() < until)
		nanosleep(&pause, NULL);
	for (size_t i = 0; pending && i < hops->count; i++) {
		const struct hop *hop = &hops->items[i];
		char addr[ADDR_TEXT_LEN], router[ADDR_TEXT_LEN], via[ADDR_TEXT_LEN + 16] = "", name[IF_NAMESIZE] = "?";

		if (!hop->pending || warned++ >= MAX_WARNINGS)
			continue;
		if_indextoname(hop->ifindex, name);
		if (!addr_equal(&hop->next_hop, &hop->backend->addr))
			snprintf(via, sizeof(via), " from its router %s", format_addr(&hop->next_hop, router));
		print_warning(hops->cli,
			      "backend %s: no answer to %s%s on %s: packets to it are dropped as no_neighbour until it "
			      "answers",
			      format_addr(&hop->backend->addr, addr), resolution_of(&hop->next_hop), via, name);
	}
	if (warned > MAX_WARNINGS)
		print_warning(hops->cli, "%u more backends or routers do not answer", warned - MAX_WARNINGS);
}

bool next_hops_are_ours(const struct cli *cli, struct dataplane *dataplane)
{
	bool found = false, elsewhere = false;
	struct interface *interfaces;
	__u32 here = netns_inode();
	struct error error;
	size_t count;

	if (!dataplane || dataplane_interfaces(dataplane, &interfaces, &count, &error))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (interfaces[i].gone)
			continue;
		if (interfaces[i].netns == here)
			found = true;
		else
			elsewhere = true;
	}
	free(interfaces);
	if (!found && elsewhere)
		print_warning(cli, "the interfaces are attached in another network namespace: run attach there again, "
				   "so that the way to new backends is known");
	return found;
}

static void warn_of_kernel(const struct hops *hops)
{
	if (hops->unroutable > MAX_WARNINGS)
		print_warning(hops->cli, "%u more backends have such a problem", hops->unroutable - MAX_WARNINGS);
	if (hops->manage_error)
		print_warning(
			hops->cli,
			"the kernel does not keep next hops resolved (%s; Linux 5.16 does): packets are dropped as "
			"no_neighbour where nothing else resolves them",
			strerror(-hops->manage_error));
	if (hops->carrier_error)
		print_warning(
			hops->cli,
			"next hops are forgotten when a link loses its carrier (cannot set arp_evict_nocarrier and "
			"ndisc_evict_nocarrier to 0: %s): run canaryctl attach again after that",
			strerror(-hops->carrier_error));
}

void next_hops_prepare(const struct cli *cli, struct model *model, const struct model *before)
{
	struct hops hops = {.cli = cli, .netlink = netlink_open()};

	if (!hops.netlink) {
		print_warning(cli, "cannot ask the kernel for routes (%s): next hops are not prepared",
			      strerror(errno));
		return;
	}
	find_ways(&hops, model, before);
	for (size_t i = 0; i < hops.count; i++)
		manage(hops.items[i].ifindex, &hops.items[i].next_hop, &hops);
	netlink_gateways(hops.netlink, manage, &hops);
	warn_of_kernel(&hops);
	wait_for_neighbours(&hops);
	free(hops.items);
	netlink_close(hops.netlink);
}

void next_hops_adopt(const struct model *prepared, struct model *model)
{
	for (size_t i = 0; i < model->service_count; i++) {
		struct service_model *service = &model->services[i];
		const struct service_model *same = model_find_same(prepared, service);

		for (size_t j = 0; same && j < service->backend_count; j++) {
			struct backend_model *backend = &service->backends[j];
			const struct backend_model *from = service_find_backend(same, &backend->addr, backend->port);

			if (from)
				backend->tunnel_source = from->tunnel_source;
		}
	}
}

void next_hops_refresh(const struct cli *cli, struct dataplane *dataplane, const struct model *model)
{
	vlans_prepare(cli, dataplane);
	for (size_t i = 0; i < model->service_count; i++) {
		const struct service_model *service = &model->services[i];

		for (size_t j = 0; j < service->backend_count; j++) {
			const struct backend_model *backend = &service->backends[j];

			if (backend->index)
				dataplane_set_tunnel_source(dataplane, backend->index, &backend->tunnel_source);
		}
	}
}
