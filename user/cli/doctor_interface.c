/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `canaryctl doctor` that look at each interface. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/interface.h"
#include "io/ethtool.h"

#define RP_FILTER_STRICT 1
#define LOSS_BEARABLE 1000 /* one in so many: a queue is full for a moment */

/* Are there interfaces to look at? */
static bool any(struct doctor *doctor)
{
	if (!doctor->patient_count)
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "nothing is attached here: name an interface to look at");
	return doctor->patient_count;
}

/* What was attached, and cannot be looked at any more, or from here. */
static void check_others(struct doctor *doctor)
{
	__u32 here = netns_inode();

	for (size_t i = 0; i < doctor->attached_count; i++) {
		const struct interface *interface = &doctor->attached[i];

		if (interface->gone) {
			found(doctor, FINDING_PROBLEM, interface->name, "it is attached, and was deleted");
			advise(doctor, "run canaryctl detach %s", copyable(interface->name));
		} else if (interface->netns != here) {
			found(doctor, FINDING_NOT_APPLICABLE, interface->name,
			      "it is attached in another network namespace, net:[%u]", interface->netns);
			advise(doctor, "run canaryctl doctor there");
		}
	}
}

static void check_link(struct doctor *doctor, const struct patient *patient)
{
	const struct interface *attached = patient->attached;
	const char *name = patient->link.name;

	if (!patient->link.up) {
		found(doctor, FINDING_PROBLEM, name, "it is down");
		advise(doctor, "run ip link set %s up, and canaryctl attach %s, which has next hops resolved",
		       copyable(name), copyable(name));
	} else if (!patient->link.running) {
		found(doctor, FINDING_PROBLEM, name, "it has no carrier");
		advise(doctor, "see to the cable, or to the link's other end");
	} else if (attached && attached->chain && !attached->position) {
		found(doctor, FINDING_PROBLEM, name, "somebody took the program out of the chain");
		advise(doctor, "run canaryctl attach --chain %s", copyable(name));
	} else if (attached && memcmp(attached->mac, patient->link.mac, sizeof(attached->mac)) != 0) {
		found(doctor, FINDING_PROBLEM, name,
		      "its MAC address has changed since it was attached, so packets to it are passed unsteered");
		advise(doctor, "run canaryctl %sattach %s", patient->decap ? "decap " : "", copyable(name));
	} else {
		found(doctor, FINDING_OK, name, "up, MTU %u%s", patient->link.mtu, attached ? "" : ", not attached");
	}
}

void check_interfaces(struct doctor *doctor)
{
	check_others(doctor);
	if (!any(doctor))
		return;
	for (size_t i = 0; i < doctor->patient_count; i++)
		check_link(doctor, &doctor->patients[i]);
}

static void check_one_mode(struct doctor *doctor, const struct patient *patient)
{
	const char *name = patient->link.name;
	char driver[DRIVER_NAME_LEN];

	if (driver_name(name, driver))
		strcpy(driver, "?");
	if (!patient->attached) {
		found(doctor, FINDING_NOT_APPLICABLE, name, "not attached (driver %s)", driver);
	} else if (!patient->attached->generic) {
		found(doctor, FINDING_OK, name, "native (driver %s)", driver);
	} else {
		found(doctor, FINDING_WARNING, name, "generic, in the kernel's stack: slower (driver %s)", driver);
		advise(doctor,
		       "if the driver has XDP, detach all interfaces and run canaryctl attach --mode native, which "
		       "says what is in the way");
	}
}

void check_mode(struct doctor *doctor)
{
	const char *native = NULL, *generic = NULL;

	if (!any(doctor))
		return;
	for (size_t i = 0; i < doctor->patient_count; i++) {
		const struct patient *patient = &doctor->patients[i];

		check_one_mode(doctor, patient);
		if (patient->attached)
			*(patient->attached->generic ? &generic : &native) = patient->link.name;
	}
	if (!native || !generic)
		return;
	found(doctor, FINDING_WARNING, NULL,
	      "%s is in native mode and %s in generic mode: packets between them may be lost", native, generic);
	advise(doctor, "detach them, and attach all with --mode generic");
}

void check_programs(struct doctor *doctor)
{
	char there[OCCUPANT_TEXT_LEN];

	if (!any(doctor))
		return;
	for (size_t i = 0; i < doctor->patient_count; i++) {
		const struct interface *attached = doctor->patients[i].attached;
		const struct link *link = &doctor->patients[i].link;

		if (attached && attached->chain) {
			found(doctor, FINDING_OK, link->name, "canaryctl's is program %d of %d in libxdp's dispatcher",
			      attached->position, attached->programs);
		} else if (attached) {
			found(doctor, FINDING_OK, link->name, "canaryctl's alone");
		} else if (!occupant_describe(link->ifindex, there)) {
			found(doctor, FINDING_OK, link->name, "none");
		} else {
			found(doctor, FINDING_WARNING, link->name, "it has another: %s", there);
			advise(doctor, "run canaryctl attach --chain %s, or take the other off first: it says how",
			       copyable(link->name));
		}
	}
}

static void check_receive_queues(struct doctor *doctor, const struct link *link, unsigned cpus)
{
	struct queues queues;
	unsigned wanted;

	if (*link->kind) {
		found(doctor, FINDING_NOT_APPLICABLE, link->name, "it is virtual (%s)", link->kind);
		return;
	}
	if (receive_queues(link->name, &queues)) {
		found(doctor, FINDING_NOT_APPLICABLE, link->name, "its driver does not tell");
		return;
	}
	wanted = queues.receive_max < cpus ? queues.receive_max : cpus;
	found(doctor, queues.receive < wanted ? FINDING_WARNING : FINDING_OK, link->name,
	      "%u of %u queues receive, and there are %u CPUs", queues.receive, queues.receive_max, cpus);
	if (queues.receive < wanted)
		advise(doctor, "run ethtool -L %s %s %u", copyable(link->name), queues.combined ? "combined" : "rx",
		       wanted);
}

void check_queues(struct doctor *doctor)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!any(doctor))
		return;
	for (size_t i = 0; i < doctor->patient_count; i++)
		check_receive_queues(doctor, &doctor->patients[i].link, (unsigned)cpus);
}

struct vlan_search {
	unsigned below; /* ifindex */
	char name[16]; /* of a VLAN device above it; "": there is none */
};

static int find_vlan(const struct link *link, void *arg)
{
	struct vlan_search *search = arg;

	if (strcmp(link->kind, "vlan") != 0 || link->lower != search->below)
		return 0;
	memcpy(search->name, link->name, sizeof(search->name));
	return 1;
}

static void check_one_offload(struct doctor *doctor, const struct patient *patient)
{
	const char *name = patient->link.name;
	struct vlan_search search = {.below = patient->link.ifindex};
	bool generic = patient->attached && patient->attached->generic, merges = generic && gro_enabled(name) > 0;
	bool lro = lro_enabled(name) > 0, strips;

	netlink_links(doctor->netlink, find_vlan, &search);
	strips = *search.name && vlan_stripping_enabled(name) > 0;
	if (merges) {
		found(doctor, FINDING_WARNING, name,
		      "it merges packets (GRO), and in generic mode merged ones cannot be sent on");
		advise(doctor, "run ethtool -K %s gro off", copyable(name));
	}
	if (lro) {
		found(doctor, FINDING_WARNING, name, "the device merges packets (LRO), and those cannot be sent on");
		advise(doctor, "run ethtool -K %s lro off", copyable(name));
	}
	if (strips) {
		found(doctor, FINDING_WARNING, name, "it takes VLAN tags off before XDP sees them, and %s needs them",
		      search.name);
		advise(doctor, "run ethtool -K %s rxvlan off", copyable(name));
	}
	if (!merges && !lro && !strips)
		found(doctor, FINDING_OK, name, "none that bites");
}

void check_offloads(struct doctor *doctor)
{
	if (!any(doctor))
		return;
	for (size_t i = 0; i < doctor->patient_count; i++)
		check_one_offload(doctor, &doctor->patients[i]);
}

/* Of which families are backends? Without any, IPv4 alone. */
static void find_families(const struct model *model, bool *ret_v4, bool *ret_v6)
{
	*ret_v4 = *ret_v6 = false;
	for (size_t i = 0; i < model->service_count; i++)
		for (size_t j = 0; j < model->services[i].backend_count; j++)
			*(addr_is_v4(&model->services[i].backends[j].addr) ? ret_v4 : ret_v6) = true;
	*ret_v4 |= !*ret_v6;
}

static void check_one_forwarding(struct doctor *doctor, const char *name, int family)
{
	const char *version = family == AF_INET ? "ipv4" : "ipv6", *title = family == AF_INET ? "IPv4" : "IPv6";
	int on = forwarding_enabled(name, family);

	if (on > 0) {
		found(doctor, FINDING_OK, name, "on for %s", title);
	} else if (!on) {
		found(doctor, FINDING_PROBLEM, name, "off for %s: packets are dropped as no_route", title);
		/* Slashes, as a name may have dots. */
		advise(doctor, "run sysctl -w net/%s/conf/%s/forwarding=1", version, copyable(name));
	} else {
		found(doctor, FINDING_PROBLEM, name, "cannot read net.%s.conf.%s.forwarding: %s", version, name,
		      strerror(-on));
		advise(doctor, "see whether %s is disabled on it", title);
	}
}

/* A backend is better off without: else it passes on what comes in a tunnel and is not for it. */
static void check_backend_forwarding(struct doctor *doctor, const char *name)
{
	if (forwarding_enabled(name, AF_INET) <= 0 && forwarding_enabled(name, AF_INET6) <= 0) {
		found(doctor, FINDING_OK, name, "off, and it takes packets out of tunnels");
		return;
	}
	found(doctor, FINDING_WARNING, name, "on, and it takes packets out of tunnels: those for others are passed on");
	advise(doctor, "if this host is no router, run sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0");
}

void check_forwarding(struct doctor *doctor)
{
	bool v4, v6;

	if (!any(doctor))
		return;
	find_families(&doctor->model, &v4, &v6);
	for (size_t i = 0; i < doctor->patient_count; i++) {
		const struct patient *patient = &doctor->patients[i];

		if (patient->decap)
			check_backend_forwarding(doctor, patient->link.name);
		if (v4 && !patient->decap)
			check_one_forwarding(doctor, patient->link.name, AF_INET);
		if (v6 && !patient->decap)
			check_one_forwarding(doctor, patient->link.name, AF_INET6);
	}
}

static void check_one_loss(struct doctor *doctor, const struct patient *patient)
{
	struct canary_interface_counters counters;
	const char *name = patient->link.name;
	double sent, lost;

	if (!patient->attached || patient->decap ||
	    dataplane_interface_counters(doctor->dataplane, patient->link.ifindex, &counters)) {
		found(doctor, FINDING_NOT_APPLICABLE, name, "nothing is sent on from here");
		return;
	}
	sent = (double)counters.count[CANARY_INTERFACE_FORWARDED];
	lost = (double)counters.count[CANARY_INTERFACE_TX_ERRORS];
	found(doctor, lost > sent / LOSS_BEARABLE ? FINDING_WARNING : FINDING_OK, name,
	      "%.0f packets sent on, of which drivers lost %.0f", sent, lost);
	if (lost > sent / LOSS_BEARABLE)
		advise(doctor, "see ethtool -S of where they leave; a veth's peer takes them in only with an XDP "
			       "program of its "
			       "own, or with GRO on");
}

void check_losses(struct doctor *doctor)
{
	if (!any(doctor))
		return;
	for (size_t i = 0; i < doctor->patient_count; i++)
		check_one_loss(doctor, &doctor->patients[i]);
}

void check_rp_filter(struct doctor *doctor)
{
	/* The kernel takes the larger of both. */
	int all = interface_setting("all", AF_INET, "rp_filter");

	if (!any(doctor))
		return;
	for (size_t i = 0; i < doctor->patient_count; i++) {
		const char *name = doctor->patients[i].link.name;
		int own = interface_setting(name, AF_INET, "rp_filter"), value = own > all ? own : all;

		if (value < 0) {
			found(doctor, FINDING_NOT_APPLICABLE, name, "it does not speak IPv4");
		} else if (value != RP_FILTER_STRICT) {
			found(doctor, FINDING_OK, name, value ? "loose" : "off");
		} else {
			found(doctor, FINDING_WARNING, name,
			      "strict%s: what goes up the stack is dropped where its answer would leave by another "
			      "interface",
			      own == value ? "" : " (by net.ipv4.conf.all)");
			advise(doctor, "run sysctl -w net/ipv4/conf/%s/rp_filter=2", copyable(name));
		}
	}
}
