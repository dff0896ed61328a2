/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl decap attach|detach|status */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/interface.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/text.h"
#include "dataplane/decap.h"
#include "io/netlink.h"

#define TAKEN "taken out"
#define PASSED "passed"
#define SENT "passed on"
#define DROPPED "dropped"

static const struct {
	const char *name, *verdict, *help;
} kinds[CANARY_DECAP_KINDS] = {
#define X(NAME, name, VERDICT, help) {#name, VERDICT, help},
	CANARY_DECAP_LIST(X)
#undef X
};

/* Where tunnels may end. */
struct locals {
	unsigned loopback; /* its ifindex: the services' addresses are there, where none ends */
	struct canary_addr *items;
	size_t count;
};

static int add_local(const struct address *address, void *arg)
{
	struct locals *locals = arg;

	if (address->ifindex == locals->loopback)
		return 0;
	locals->items = must(reallocarray(locals->items, locals->count + 1, sizeof(*locals->items)));
	locals->items[locals->count++] = address->addr;
	return 0;
}

static int find_all(const char *name, struct interface *ret_interface, struct locals *ret_locals, struct error *error)
{
	struct netlink *netlink = netlink_open();
	struct link loopback = {};
	int err;

	if (!netlink)
		return fail(error, -errno, "cannot open a netlink socket: %s", strerror(errno));
	err = interface_find(netlink, name, ret_interface, error);
	if (!err) {
		netlink_link_by_name(netlink, "lo", &loopback);
		ret_locals->loopback = loopback.ifindex;
		err = netlink_addresses(netlink, add_local, ret_locals);
		if (err)
			fail(error, err, "cannot ask the kernel for this host's addresses: %s", strerror(-err));
	}
	netlink_close(netlink);
	if (!err && !ret_locals->count)
		err = fail(error, -EADDRNOTAVAIL, "this host has no address that a tunnel could end at");
	return err;
}

/* "10.0.0.0/24,2001:db8:10::/64" */
static int parse_peers(const char *text, struct canary_decap_peer ret[CANARY_DECAP_MAX_PEERS], size_t *ret_count,
		       struct error *error)
{
	char *copy = must(strdup(text)), *rest = copy, *word;
	int err = 0;

	*ret_count = 0;
	while (!err && (word = strsep(&rest, ","))) {
		struct canary_decap_peer peer = {};

		err = argument_prefix(word, &peer.addr, &peer.prefixlen, error);
		if (!err && peer.prefixlen == (addr_is_v4(&peer.addr) ? 96 : 0))
			err = fail(error, CLI_USAGE, "--peers %s: packets would be passed on to anybody", word);
		if (!err && *ret_count == CANARY_DECAP_MAX_PEERS)
			err = fail(error, CLI_USAGE, "--peers takes at most %d prefixes", CANARY_DECAP_MAX_PEERS);
		if (!err)
			ret[(*ret_count)++] = peer;
	}
	free(copy);
	return err;
}

static json_t *view_addresses(const struct canary_addr *addresses, size_t count)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(format_addr(&addresses[i], text)));
	return list;
}

static json_t *view_peers(const struct canary_decap_peer *peers, size_t count)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(format_prefix(&peers[i].addr, peers[i].prefixlen, text)));
	return list;
}

static json_t *view_attachment(const struct interface *interface, const struct decap_ends *ends)
{
	json_t *view = view_interface(interface);

	json_object_set_new(view, "port", json_integer(ends->gue_port));
	json_object_set_new(view, "addresses", view_addresses(ends->addresses, ends->address_count));
	json_object_set_new(view, "peers", view_peers(ends->peers, ends->peer_count));
	return view;
}

static void report_attached(const struct cli *cli, const struct interface *interface, const struct decap_ends *ends,
			    bool already, bool slower)
{
	size_t count = ends->address_count;

	report(cli, true, view_attachment(interface, ends),
	       "%s: takes packets out of IP in IP and, on UDP port %d, GUE, to %zu address%s of this host%s%s%s",
	       interface->name, ends->gue_port, count, count == 1 ? "" : "es",
	       ends->peer_count ? "; passes on to the peers what another backend knows" : "",
	       already ? ", as of now" : "",
	       slower ? "; in generic mode, as its driver has no native one: slower" : "");
}

int cmd_decap_attach(const struct cli *cli, struct error *error)
{
	const char *port_text = cli->values[OPT_PORT], *peers_text = cli->values[OPT_PEERS];
	struct canary_decap_peer peers[CANARY_DECAP_MAX_PEERS];
	struct decap_ends ends = {.gue_port = GUE_PORT, .peers = peers};
	struct interface interface;
	struct locals locals = {};
	enum attach_mode mode;
	char dir[PATH_MAX];
	int err = interface_mode(cli->values[OPT_MODE], &mode, error);
	bool already;

	if (err)
		return err;
	if (port_text && (parse_port(port_text, &ends.gue_port) || !ends.gue_port))
		return fail(error, CLI_USAGE, "--port is 1 to 65535, not \"%s\"", port_text);
	if (peers_text && parse_peers(peers_text, peers, &ends.peer_count, error))
		return CLI_USAGE;
	decap_dir(cli, dir);
	err = find_all(cli->arguments[0], &interface, &locals, error);
	ends.addresses = locals.items;
	ends.address_count = locals.count;
	if (!err)
		err = decap_attach(dir, &interface, mode, &ends, &already, error);
	if (!err)
		report_attached(cli, &interface, &ends, already, interface.generic && mode == ATTACH_AUTO && !already);
	free(locals.items);
	return err ? CLI_FAILED : CLI_DONE;
}

/* One that was deleted is known by the name it had, if it was attached in this network namespace. */
static int find_attached(const char *dir, const char *name, struct interface *ret, struct error *error)
{
	struct netlink *netlink = netlink_open();
	struct link link = {};
	struct decap *list;
	size_t count;
	int err;

	if (netlink)
		netlink_link_by_name(netlink, name, &link);
	netlink_close(netlink);
	err = decap_list(dir, &list, &count, error);
	if (err)
		return err;
	err = -ENODEV;
	for (size_t i = 0; i < count; i++) {
		const struct interface *interface = &list[i].interface;

		bool here = !interface->gone && interface->netns == netns_inode() && interface->ifindex == link.ifindex;

		/* One that is there goes before one of its name that was deleted, here or with its network namespace. */
		if (!here && (!err || !interface->gone || strcmp(interface->name, name) != 0))
			continue;
		*ret = *interface;
		snprintf(ret->name, sizeof(ret->name), "%s", name);
		err = 0;
		if (here)
			break;
	}
	decap_free(list, count);
	return err ? fail(error, err, "\"%s\" is not attached: see canaryctl decap status", name) : 0;
}

int cmd_decap_detach(const struct cli *cli, struct error *error)
{
	struct interface interface;
	char dir[PATH_MAX];
	int err;

	decap_dir(cli, dir);
	err = find_attached(dir, cli->arguments[0], &interface, error);
	if (!err)
		err = decap_detach(dir, &interface, error);
	if (err)
		return CLI_FAILED;
	report(cli, true, view_interface(&interface), "%s: tunnels are no longer taken apart%s", cli->arguments[0],
	       interface.gone ? " (it was deleted already)" : "");
	return CLI_DONE;
}

static json_t *view_decap(const struct decap *decap)
{
	const struct decap_ends ends = {decap->gue_port, decap->addresses, decap->address_count, decap->peers,
					decap->peer_count};
	json_t *view = view_attachment(&decap->interface, &ends);
	json_t *packets = json_object();

	for (int i = 0; i < CANARY_DECAP_KINDS; i++)
		json_object_set_new(packets, kinds[i].name, json_integer((json_int_t)decap->counters.count[i]));
	json_object_set_new(view, "packets", packets);
	json_object_set_new(view, "bytes", json_integer((json_int_t)decap->counters.bytes));
	json_object_set_new(view, "here", json_boolean(decap->interface.netns == netns_inode()));
	json_object_set_new(view, "gone", json_boolean(decap->interface.gone));
	return view;
}

static void print_decap(const struct cli *cli, const json_t *view)
{
	const json_t *packets = json_object_get(view, "packets"), *address, *peer;
	struct table table = {};
	size_t i;

	printf("%s%s%s  %s mode  GUE on UDP port %lld%s%s\n", style_begin(cli, STYLE_BOLD), text_of(view, "name"),
	       style_end(cli, STYLE_BOLD), text_of(view, "mode"), (long long)integer_of(view, "port"),
	       json_is_true(json_object_get(view, "here")) ? "" : "  in another network namespace",
	       json_is_true(json_object_get(view, "gone")) ? "  deleted: detach it" : "");
	printf("  tunnels to");
	json_array_foreach (json_object_get(view, "addresses"), i, address)
		printf("%s %s", i ? "," : "", json_string_value(address));
	json_array_foreach (json_object_get(view, "peers"), i, peer)
		printf("%s %s", i ? "," : "  passes on to", json_string_value(peer));
	printf("  %lld bytes taken out\n", (long long)integer_of(view, "bytes"));
	for (i = 0; i < CANARY_DECAP_KINDS; i++) {
		json_int_t count = integer_of(packets, kinds[i].name);

		if (!count)
			continue;
		table_left(&table, STYLE_PLAIN, "%s", kinds[i].name);
		table_right(&table, STYLE_PLAIN, "%lld", (long long)count);
		table_left(&table, STYLE_PLAIN, "%s: %s", kinds[i].verdict, kinds[i].help);
		table_end_row(&table);
	}
	table_print(&table, cli, 2);
}

int cmd_decap_status(const struct cli *cli, struct error *error)
{
	json_t *views, *view;
	struct decap *list;
	char dir[PATH_MAX];
	size_t count, i;

	decap_dir(cli, dir);
	if (decap_list(dir, &list, &count, error))
		return CLI_FAILED;
	views = json_array();
	for (i = 0; i < count; i++)
		json_array_append_new(views, view_decap(&list[i]));
	if (cli->json) {
		print_json(json_pack("{s:O}", "interfaces", views));
	} else {
		json_array_foreach (views, i, view)
			print_decap(cli, view);
		if (!count)
			puts("nothing is attached");
	}
	json_decref(views);
	decap_free(list, count);
	return CLI_DONE;
}
