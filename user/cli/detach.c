/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl detach */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/host.h"
#include "cli/output.h"
#include "cli/view.h"
#include "dataplane/dataplane.h"
#include "io/netlink.h"

struct attached {
	struct interface *items;
	bool *chosen;
	size_t count;
};

/* By what it is called now, in our network namespace. Was it there? */
static bool choose_by_number(struct attached *attached, const char *name)
{
	struct netlink *netlink = netlink_open();
	struct link link = {};
	bool found = false;

	if (netlink)
		netlink_link_by_name(netlink, name, &link);
	netlink_close(netlink);
	for (size_t i = 0; link.ifindex && i < attached->count; i++) {
		struct interface *interface = &attached->items[i];

		if (interface->ifindex != link.ifindex || interface->netns != netns_inode() || interface->gone)
			continue;
		memcpy(interface->name, link.name, sizeof(interface->name));
		attached->chosen[i] = true;
		found = true;
	}
	return found;
}

/*
 * Chooses those of that name, now or when they were attached, that are ours to name: in our network namespace, or deleted
 * since.
 */
static int choose(struct attached *attached, const char *name, struct error *error)
{
	__u32 here = netns_inode(), elsewhere = 0;
	bool found = false;

	if (choose_by_number(attached, name))
		return 0;
	for (size_t i = 0; i < attached->count; i++) {
		const struct interface *interface = &attached->items[i];

		if (strcmp(interface->name, name))
			continue;
		if (interface->netns == here || interface->gone) {
			attached->chosen[i] = true;
			found = true;
		} else {
			elsewhere = interface->netns;
		}
	}
	if (found)
		return 0;
	if (elsewhere)
		return fail(error, -ENODEV,
			    "%s is attached in another network namespace (net:[%u]): detach it from there, or all with "
			    "--all",
			    name, elsewhere);
	return fail(error, -ENODEV, "\"%s\" is not attached: see canaryctl status", name);
}

static int choose_all(const struct cli *cli, struct attached *attached, struct error *error)
{
	int err = 0;

	if (cli->values[OPT_ALL]) {
		memset(attached->chosen, true, attached->count * sizeof(*attached->chosen));
		return 0;
	}
	for (int i = 0; !err && i < cli->argument_count; i++)
		err = choose(attached, cli->arguments[i], error);
	return err;
}

/* Is nothing of what is attached in this network namespace left then? */
static bool is_last(const struct attached *attached)
{
	bool some = false;

	for (size_t i = 0; i < attached->count; i++) {
		if (attached->items[i].netns == netns_inode() && !attached->items[i].gone && !attached->chosen[i])
			return false;
		some |= attached->chosen[i];
	}
	return some;
}

/* What cannot be detached does not keep the others from it; of several, the first error is told. */
static int detach_chosen(const struct cli *cli, struct dataplane *dataplane, const struct attached *attached,
			 json_t *ret_interfaces, struct error *error)
{
	struct error ignored;
	int result = 0, err;

	for (size_t i = 0; i < attached->count; i++) {
		const struct interface *interface = &attached->items[i];

		if (!attached->chosen[i])
			continue;
		err = dataplane_detach(dataplane, interface, result ? &ignored : error);
		if (err) {
			result = result ? result : err;
			continue;
		}
		json_array_append_new(ret_interfaces, view_interface(interface));
		if (!cli->json)
			report(cli, true, NULL, "%s: detached%s", interface->name,
			       interface->gone ? " (it was deleted already)" : "");
	}
	return result;
}

int cmd_detach(const struct cli *cli, struct error *error)
{
	struct dataplane *dataplane = NULL;
	struct attached attached = {};
	json_t *interfaces;
	int err;

	if (!cli->argument_count == !cli->values[OPT_ALL])
		return fail(error, CLI_USAGE, "detach needs interfaces, or else --all: see canaryctl help detach");

	interfaces = json_array();
	err = dataplane_open(cli->dir, DATAPLANE_CHANGE, &dataplane, error);
	if (!err)
		err = list_interfaces(dataplane, &attached.items, &attached.count, error);
	else if (err == -ENOENT)
		err = 0;
	attached.chosen = must(calloc(attached.count + 1, sizeof(*attached.chosen)));
	if (!err)
		err = choose_all(cli, &attached, error);
	if (!err && is_last(&attached))
		host_withdraw(cli);
	if (!err)
		err = detach_chosen(cli, dataplane, &attached, interfaces, error);
	if (!err && cli->json)
		report(cli, json_array_size(interfaces), json_pack("{s:O}", "interfaces", interfaces),
		       "%zu interfaces detached", json_array_size(interfaces));
	else if (!err && !json_array_size(interfaces))
		report(cli, false, NULL, "nothing is attached");
	json_decref(interfaces);
	free(attached.chosen);
	free(attached.items);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}
