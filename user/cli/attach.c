/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl attach */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/apply.h"
#include "cli/host.h"
#include "cli/interface.h"
#include "cli/next_hops.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/text.h"
#include "io/ethtool.h"
#include "io/netlink.h"

#define MAX_PRIORITY 1000

/* One interface of the command line. */
struct wanted {
	struct interface interface;
	bool already; /* it was attached before */
	bool attached; /* by us: to be undone where a later one fails */
	bool fell_back; /* its driver has no native mode, or others have its chain in generic mode */
};

struct attaching {
	const struct cli *cli;
	enum attach_mode mode;
	bool chain;
	unsigned priority; /* in the chain */
	struct wanted *wanted;
	size_t count;
	struct apply apply; /* of -f FILE; without one its change alone is used, which changes nothing */
	struct model running; /* without -f: what was there before the lock */
};

static int parse_chain(const struct cli *cli, struct attaching *ret, struct error *error)
{
	const char *priority = cli->values[OPT_PRIORITY];

	ret->chain = cli->values[OPT_CHAIN];
	ret->priority = DATAPLANE_DEFAULT_PRIORITY;
	if (priority && !ret->chain)
		return fail(error, CLI_USAGE, "--priority is for --chain, which is not given");
	if (priority && parse_unsigned(priority, 0, MAX_PRIORITY, &ret->priority))
		return fail(error, CLI_USAGE, "--priority is a whole number from 0 to %d, not \"%s\"", MAX_PRIORITY,
			    priority);
	return 0;
}

static int find_interfaces(struct attaching *attaching, struct error *error)
{
	struct netlink *netlink = netlink_open();
	int err = 0;

	if (!netlink)
		return fail(error, -errno, "cannot open a netlink socket: %s", strerror(errno));
	for (size_t i = 0; !err && i < attaching->count; i++) {
		struct interface *interface = &attaching->wanted[i].interface;

		err = interface_find(netlink, attaching->cli->arguments[i], interface, error);
		interface->chain = attaching->chain;
		interface->priority = attaching->priority;
	}
	netlink_close(netlink);
	return err;
}

static int check_forwarding(const char *name, int family, struct error *error)
{
	const char *version = family == AF_INET ? "ipv4" : "ipv6";
	int on = forwarding_enabled(name, family);

	if (on > 0)
		return 0;
	if (on < 0)
		return fail(error, on, "cannot read net.%s.conf.%s.forwarding (%s): is %s disabled on it?", version,
			    name, strerror(-on), family == AF_INET ? "IPv4" : "IPv6");
	/* A name may hold what a shell would run: no command to copy with that. */
	if (!name_is_valid(name))
		return fail(error, -EINVAL,
			    "net.%s.conf.%s.forwarding is off, so the kernel gives no routes: set it to 1", version,
			    name);
	/* Slashes, as a name may have dots. */
	return fail(error, -EINVAL,
		    "forwarding is off on %s, so the kernel gives no routes: run sysctl -w "
		    "net/%s/conf/%s/forwarding=1",
		    name, version, name);
}

static bool has_family(const struct model *model, bool v4)
{
	bool any = false;

	for (size_t i = 0; i < model->service_count; i++) {
		for (size_t j = 0; j < model->services[i].backend_count; j++) {
			if (addr_is_v4(&model->services[i].backends[j].addr) == v4)
				return true;
			any = true;
		}
	}
	return v4 && !any;
}

static int check_all_forwarding(const struct attaching *attaching, const struct model *model, struct error *error)
{
	bool v4 = has_family(model, true), v6 = has_family(model, false);
	int err = 0;

	for (size_t i = 0; !err && i < attaching->count; i++) {
		if (v4)
			err = check_forwarding(attaching->wanted[i].interface.name, AF_INET, error);
		if (!err && v6)
			err = check_forwarding(attaching->wanted[i].interface.name, AF_INET6, error);
	}
	return err;
}

static int attach_one(struct attaching *attaching, struct wanted *wanted, enum attach_mode mode, struct error *error)
{
	struct dataplane *dataplane = attaching->apply.change.dataplane;
	int err = dataplane_attach(dataplane, &wanted->interface, mode, &wanted->already, error);

	wanted->attached = !err && !wanted->already;
	return err;
}

/* Their mode is the chain's: it was there before ours. */
static bool has_others(const struct interface *interface)
{
	return interface->chain && interface->programs > 1;
}

/* The one of those attached by us that fell back to generic mode, if another one is native. */
static const struct wanted *find_slower(const struct attaching *attaching)
{
	const struct wanted *slower = NULL;
	bool native = false;

	for (size_t i = 0; i < attaching->count; i++) {
		const struct wanted *wanted = &attaching->wanted[i];

		if (wanted->attached && wanted->fell_back)
			slower = wanted;
		native |= wanted->attached && !wanted->interface.generic;
	}
	return native ? slower : NULL;
}

static int refuse_unlike(const struct interface *generic, const struct interface *native, struct error *error)
{
	return fail(
		error, -EBUSY,
		"%s can be attached in generic mode alone, as %s, and other programs have the chain of %s in native "
		"mode: packets that are sent from one to the other would be lost; load those in generic mode, too",
		generic->name, has_others(generic) ? "other programs have its chain so" : "its driver has no other",
		native->name);
}

/* What a native program redirects is lost where the other driver has no XDP: then all are attached in generic mode. */
static int attach_alike(struct attaching *attaching, struct error *error)
{
	struct dataplane *dataplane = attaching->apply.change.dataplane;
	const struct wanted *slower = find_slower(attaching);
	int err = 0;

	if (!slower)
		return 0;
	for (size_t i = 0; !err && i < attaching->count; i++) {
		struct wanted *wanted = &attaching->wanted[i];

		if (!wanted->attached || wanted->interface.generic)
			continue;
		if (has_others(&wanted->interface))
			return refuse_unlike(&slower->interface, &wanted->interface, error);
		err = dataplane_detach(dataplane, &wanted->interface, error);
		if (!err)
			err = attach_one(attaching, wanted, ATTACH_GENERIC, error);
	}
	return err;
}

static int attach_all(struct attaching *attaching, struct error *error)
{
	struct error ignored;
	int err = 0;

	for (size_t i = 0; !err && i < attaching->count; i++) {
		struct wanted *wanted = &attaching->wanted[i];

		err = attach_one(attaching, wanted, attaching->mode, error);
		wanted->fell_back = wanted->attached && wanted->interface.generic && attaching->mode == ATTACH_AUTO;
	}
	if (!err)
		err = attach_alike(attaching, error);
	for (size_t i = 0; err && i < attaching->count; i++)
		if (attaching->wanted[i].attached)
			dataplane_detach(attaching->apply.change.dataplane, &attaching->wanted[i].interface, &ignored);
	return err;
}

/* "", or which of the chain's programs ours is. */
static const char *chain_text(const struct interface *interface, char buf[64])
{
	buf[0] = 0;
	if (interface->chain)
		snprintf(buf, 64, ", program %d of %d", interface->position, interface->programs);
	return buf;
}

static void report_interface(const struct attaching *attaching, const struct wanted *wanted)
{
	const char *name = wanted->interface.name, *mode = wanted->interface.generic ? "generic" : "native";
	const struct wanted *slower = attaching->wanted;
	char chain[64];

	if (wanted->already)
		report(attaching->cli, false, NULL, "%s: attached already, in %s mode%s", name, mode,
		       chain_text(&wanted->interface, chain));
	else if (wanted->fell_back)
		report(attaching->cli, true, NULL, "%s: attached in generic mode, as its %s: slower", name,
		       has_others(&wanted->interface) ? "chain is" : "driver has no native one");
	else if (attaching->mode == ATTACH_AUTO && wanted->interface.generic) {
		while (!slower->fell_back)
			slower++;
		report(attaching->cli, true, NULL, "%s: attached in generic mode, as the %s of %s %s: slower", name,
		       has_others(&slower->interface) ? "chain" : "driver", slower->interface.name,
		       has_others(&slower->interface) ? "is" : "has no native one");
	} else {
		report(attaching->cli, true, NULL, "%s: attached in %s mode%s", name, mode,
		       chain_text(&wanted->interface, chain));
	}
}

static void report_attach(const struct attaching *attaching)
{
	const struct cli *cli = attaching->cli;
	bool changed = attaching->apply.plan.count;
	json_t *interfaces = json_array(), *details;

	if (!cli->json)
		apply_print(&attaching->apply);
	for (size_t i = 0; i < attaching->count; i++) {
		const struct wanted *wanted = &attaching->wanted[i];
		json_t *interface = view_interface(&wanted->interface);

		json_object_set_new(interface, "already", json_boolean(wanted->already));
		json_array_append_new(interfaces, interface);
		changed |= wanted->attached;
		if (!cli->json)
			report_interface(attaching, wanted);
	}
	if (cli->json) {
		details = json_pack("{s:O, s:o}", "interfaces", interfaces, "operations",
				    apply_operations(&attaching->apply.plan));
		report(cli, changed, details, "%zu interfaces attached", attaching->count);
	}
	json_decref(interfaces);
}

/* One that was attached before may be in the other mode. */
static void warn_of_mixed_modes(const struct attaching *attaching)
{
	const char *native = NULL, *generic = NULL;
	struct interface *interfaces;
	__u32 here = netns_inode();
	struct error ignored;
	size_t count;

	if (list_interfaces(attaching->apply.change.dataplane, &interfaces, &count, &ignored))
		return;
	for (size_t i = 0; i < count; i++) {
		if (interfaces[i].gone || interfaces[i].netns != here)
			continue;
		if (interfaces[i].generic)
			generic = interfaces[i].name;
		else
			native = interfaces[i].name;
	}
	if (native && generic)
		print_warning(attaching->cli,
			      "%s is attached in native mode and %s in generic mode: packets that go from %s to an "
			      "interface whose driver has no ndo_xdp_xmit are lost: detach, and attach all with --mode "
			      "generic",
			      native, generic, native);
	free(interfaces);
}

static void warn_of_merging(const struct attaching *attaching)
{
	for (size_t i = 0; i < attaching->count; i++) {
		const char *name = attaching->wanted[i].interface.name;

		if (!attaching->wanted[i].interface.generic || gro_enabled(name) <= 0)
			continue;
		/* A name may hold what a shell would run: no command to copy with that. */
		print_warning(
			attaching->cli,
			"%s merges packets (GRO), and in generic mode merged ones cannot be sent on through another "
			"interface: %s%s%s",
			name, name_is_valid(name) ? "run ethtool -K " : "switch GRO off",
			name_is_valid(name) ? name : "", name_is_valid(name) ? " gro off" : "");
	}
}

/* What takes its time, and all that can be known to be wrong: before the lock, and before anything is changed. */
static int prepare(struct attaching *attaching, struct error *error)
{
	const char *file = attaching->cli->values[OPT_FILE];
	struct model *model = file ? &attaching->apply.wanted : &attaching->running;
	struct dataplane *dataplane;
	int err = find_interfaces(attaching, error);

	if (!err && file) {
		err = apply_load(&attaching->apply, attaching->cli, file, error);
	} else if (!err) {
		err = read_running(attaching->cli, NULL, &dataplane, &attaching->running, error);
		if (!err)
			dataplane_close(dataplane);
	}
	if (!err)
		err = check_all_forwarding(attaching, model, error);
	if (!err)
		next_hops_prepare(attaching->cli, model, NULL);
	return err;
}

static int attach(struct attaching *attaching, struct error *error)
{
	const char *file = attaching->cli->values[OPT_FILE];
	struct change *change = &attaching->apply.change;
	int err = prepare(attaching, error);

	if (!err && file)
		err = apply_begin(&attaching->apply, DATAPLANE_CREATE, false, error);
	else if (!err)
		err = change_begin(change, attaching->cli, DATAPLANE_CREATE, NULL, error);
	if (err)
		return err;
	next_hops_adopt(&attaching->running, &change->desired);
	next_hops_refresh(attaching->cli, change->dataplane, &change->desired);
	if (attaching->apply.plan.count)
		err = apply_commit(&attaching->apply, error);
	if (!err) {
		err = attach_all(attaching, error);
		if (err && attaching->apply.plan.count)
			print_warning(attaching->cli, "what %s says is in force all the same", file);
	}
	return err;
}

int cmd_attach(const struct cli *cli, struct error *error)
{
	struct attaching attaching = {.cli = cli, .count = cli->argument_count};
	int err = interface_mode(cli->values[OPT_MODE], &attaching.mode, error);

	if (!err)
		err = parse_chain(cli, &attaching, error);
	if (err)
		return err;
	attaching.wanted = must(calloc(attaching.count, sizeof(*attaching.wanted)));
	err = attach(&attaching, error);
	if (!err) {
		report_attach(&attaching);
		warn_of_mixed_modes(&attaching);
		warn_of_merging(&attaching);
	}
	apply_end(&attaching.apply);
	model_free(&attaching.running);
	free(attaching.wanted);
	if (!err)
		host_follow(cli);
	return err ? CLI_FAILED : CLI_DONE;
}
