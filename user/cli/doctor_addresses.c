/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has the services' addresses? Packets for one come here because a router sends them, or because the address is on a
 * network of this host's and somebody there answers ARP (neighbour discovery) for it: which has to be this host.
 */
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/doctor.h"
#include "cli/interface.h"
#include "cli/output.h"
#include "cli/ways.h"
#include "core/text.h"
#include "io/solicit.h"

enum {
	WAIT_MS = 300, /* for answers */
	KEPT_MS = 5, /* for those that came meanwhile */
	MAX_ROUTED = 20, /* that are told of one by one */
	MAX_ASKED = 64, /* addresses: each question goes to everybody on the link */
	ARP_IGNORE_OTHERS = 1, /* net.ipv4.conf.IFACE.arp_ignore: from here on, addresses of other interfaces */
};

/* An address that services have. */
struct asked {
	const struct service_model *service; /* the first of them */
	unsigned on_link; /* ifindex of the network that it is on; 0: none of this host's */
	unsigned ours; /* of the interface that has it; 0: it is no address of this host's */
	unsigned answered_on; /* by another host */
	__u8 mac[6]; /* its */
	__u64 packets; /* that services of this address got */
};

struct asking {
	struct doctor *doctor;
	struct asked *items;
	size_t count;
	const struct link *link; /* whose answers are read now */
	size_t routed; /* how many are on no network of ours */
	int unasked; /* why it cannot be, -errno */
};

static struct asked *find_asked(struct asking *asking, const struct canary_addr *addr)
{
	for (size_t i = 0; i < asking->count; i++)
		if (addr_equal(&asking->items[i].service->addr, addr))
			return &asking->items[i];
	return NULL;
}

static __u64 packets_of(const struct doctor *doctor, const struct service_model *service)
{
	__u64 packets = 0;

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct canary_cohort_counters counters;

		if (!dataplane_cohort_counters(doctor->dataplane, service->id, cohort, &counters))
			packets += counters.count[CANARY_COHORT_PACKETS];
	}
	return packets;
}

static void add_services(struct asking *asking)
{
	const struct model *model = &asking->doctor->model;

	asking->items = must(calloc(model->service_count, sizeof(*asking->items)));
	for (size_t i = 0; i < model->service_count; i++) {
		const struct service_model *service = &model->services[i];
		struct asked *asked = find_asked(asking, &service->addr);

		if (!asked) {
			asked = &asking->items[asking->count++];
			asked->service = service;
		}
		asked->packets += packets_of(asking->doctor, service);
	}
}

static bool is_patient(const struct doctor *doctor, unsigned ifindex)
{
	for (size_t i = 0; i < doctor->patient_count; i++)
		if (doctor->patients[i].link.ifindex == ifindex)
			return true;
	return false;
}

/* Of an interface that packets come in by: is a service's address on its network? And whose address is it? */
static int note_own(const struct address *address, void *arg)
{
	struct asking *asking = arg;
	bool patient = is_patient(asking->doctor, address->ifindex);

	for (size_t i = 0; i < asking->count; i++) {
		struct asked *asked = &asking->items[i];
		bool has = addr_equal(&asked->service->addr, &address->addr);

		if (has && (patient || !asked->ours))
			asked->ours = address->ifindex;
		if (patient && (has || addr_shares_prefix(&asked->service->addr, &address->addr, address->prefix_len)))
			asked->on_link = address->ifindex;
	}
	return 0;
}

static int is_mac_of(const struct link *link, void *mac)
{
	return !memcmp(link->mac, mac, sizeof(link->mac));
}

static void note_answer(const struct canary_addr *addr, const __u8 mac[6], void *arg)
{
	struct asking *asking = arg;
	struct asked *asked = find_asked(asking, addr);
	__u8 copy[6];

	/* The network that the address is on says more than another one. */
	if (!asked || (asked->answered_on && asked->answered_on == asked->on_link))
		return;
	/* This host itself, where it has two interfaces on one network. */
	memcpy(copy, mac, sizeof(copy));
	if (netlink_links(asking->doctor->netlink, is_mac_of, copy) == 1)
		return;
	asked->answered_on = asking->link->ifindex;
	memcpy(asked->mac, mac, sizeof(asked->mac));
}

/* NULL: it cannot be asked there. */
static struct solicit *ask_on(struct asking *asking, const struct link *link)
{
	struct solicit *solicit;

	if (link->type != ARPHRD_ETHER || !link->running)
		return NULL;
	solicit = solicit_open(link);
	if (!solicit)
		asking->unasked = -errno;
	for (size_t i = 0; solicit && i < asking->count && i < MAX_ASKED; i++)
		solicit_ask(solicit, &asking->items[i].service->addr); /* where it cannot be asked nobody answers */
	return solicit;
}

/* On all links at once: while one is waited for, the others' answers are kept. */
static void ask(struct asking *asking)
{
	const struct patient *patients = asking->doctor->patients;
	size_t count = asking->doctor->patient_count;
	struct solicit **asked = must(calloc(count + 1, sizeof(struct solicit *)));
	int wait_ms = WAIT_MS;

	for (size_t i = 0; i < count; i++)
		asked[i] = ask_on(asking, &patients[i].link);
	for (size_t i = 0; i < count; i++) {
		if (!asked[i])
			continue;
		asking->link = &patients[i].link;
		solicit_collect(asked[i], wait_ms, note_answer, asking);
		wait_ms = KEPT_MS;
		solicit_close(asked[i]);
	}
	free(asked);
}

/* Does the kernel answer for it on the network that it is on? */
static bool answers(struct doctor *doctor, const struct asked *asked, const char *name)
{
	bool v4 = addr_is_v4(&asked->service->addr);
	int own = interface_setting(name, AF_INET, "arp_ignore"), all = interface_setting("all", AF_INET, "arp_ignore");

	if (asked->ours == asked->on_link ||
	    netlink_is_proxy(doctor->netlink, asked->on_link, &asked->service->addr) == 1)
		return true;
	/* For an address of another interface IPv6 never does. */
	return v4 && asked->ours && own < ARP_IGNORE_OTHERS && all < ARP_IGNORE_OTHERS;
}

/* Not on a network of ours, or not known to be: routers send its packets, or nobody does. */
static void judge_routed(struct asking *asking, const struct asked *asked, const char *addr)
{
	struct doctor *doctor = asking->doctor;
	const char *ours = asked->ours ? "an address of this host's, and" : "on no network of this host's:";

	if (asking->routed++ >= MAX_ROUTED)
		return;
	if (asked->packets)
		found(doctor, FINDING_OK, addr, "%s %llu packets have come", ours, (unsigned long long)asked->packets);
	else
		found(doctor, FINDING_NOT_APPLICABLE, addr, "%s no packet has come yet; routers have to send them here",
		      ours);
}

static void judge_foreign(struct doctor *doctor, const struct asked *asked, const char *addr)
{
	bool conflict = asked->answered_on == asked->on_link;
	const __u8 *mac = asked->mac;
	char name[IF_NAMESIZE] = "?";

	if_indextoname(asked->answered_on, name);
	found(doctor, conflict ? FINDING_PROBLEM : FINDING_WARNING, addr,
	      "%02x:%02x:%02x:%02x:%02x:%02x on %s answers %s for it: %s", mac[0], mac[1], mac[2], mac[3], mac[4],
	      mac[5], name, resolution_of(&asked->service->addr),
	      conflict ? "packets go there, past the balancer"
		       : "hosts of that network may reach it past the balancer");
	advise(doctor, "take the address off that host or, on a backend, have it on lo with "
		       "net.ipv4.conf.all.arp_ignore=1");
}

static void judge_address(struct asking *asking, const struct asked *asked)
{
	struct doctor *doctor = asking->doctor;
	char addr[ADDR_TEXT_LEN], name[IF_NAMESIZE] = "?";
	const char *resolution = resolution_of(&asked->service->addr);

	format_addr(&asked->service->addr, addr);
	if (asked->answered_on) {
		judge_foreign(doctor, asked, addr);
		return;
	}
	if (!asked->on_link) {
		judge_routed(asking, asked, addr);
		return;
	}
	if_indextoname(asked->on_link, name);
	if (answers(doctor, asked, name)) {
		found(doctor, FINDING_OK, addr, "this host answers %s for it on %s, and nobody else", resolution, name);
		return;
	}
	found(doctor, FINDING_PROBLEM, addr, "it is on the network of %s, and nobody answers %s for it", name,
	      resolution);
	advise(doctor, "run ip address add %s/%d dev %s", addr, addr_is_v4(&asked->service->addr) ? 32 : 128,
	       copyable(name));
}

void check_addresses(struct doctor *doctor)
{
	struct asking asking = {.doctor = doctor};

	if (!doctor_sees_ways(doctor))
		return;
	add_services(&asking);
	netlink_addresses(doctor->netlink, note_own, &asking);
	ask(&asking);
	if (asking.unasked)
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "cannot ask who else answers: %s",
		      strerror(-asking.unasked));
	else if (asking.count > MAX_ASKED)
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "only for %d of %zu it is asked who else answers",
		      MAX_ASKED, asking.count);
	for (size_t i = 0; i < asking.count; i++)
		judge_address(&asking, &asking.items[i]);
	if (asking.routed > MAX_ROUTED)
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "%zu more like these", asking.routed - MAX_ROUTED);
	free(asking.items);
}
