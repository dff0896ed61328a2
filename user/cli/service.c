/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl service add|del|list */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/change.h"
#include "cli/host.h"
#include "cli/output.h"
#include "cli/owner.h"
#include "cli/view.h"
#include "core/text.h"

static int parse_choices(const struct cli *cli, struct service_model *ret, struct error *error)
{
	const char *forward = cli->values[OPT_FORWARD], *affinity = cli->values[OPT_AFFINITY];
	const char *gue_port = cli->values[OPT_GUE_PORT];
	const char *id_offset = cli->values[OPT_ID_OFFSET], *id_length = cli->values[OPT_ID_LENGTH];
	const char *track = cli->values[OPT_TRACK], *overflow = cli->values[OPT_OVERFLOW];
	const char *idle_timeout = cli->values[OPT_IDLE_TIMEOUT], *max_window = cli->values[OPT_MAX_WINDOW];
	const char *mss = cli->values[OPT_MSS];

	if (forward && parse_forward(forward, &ret->forward))
		return fail(error, CLI_USAGE, "--forward is %s, not \"%s\"", forward_names(), forward);
	if (gue_port && (parse_port(gue_port, &ret->gue_port) || !ret->gue_port))
		return fail(error, CLI_USAGE, "--gue-port is 1 to 65535, not \"%s\"", gue_port);
	if (gue_port && ret->forward != CANARY_FORWARD_GUE)
		return fail(error, CLI_USAGE, "--gue-port goes with --forward gue");
	if (affinity && parse_affinity(affinity, &ret->affinity))
		return fail(error, CLI_USAGE, "--affinity is %s, not \"%s\"", affinity_names(), affinity);
	if (id_offset && parse_unsigned(id_offset, 0, CANARY_CONNECTION_ID_MAX - 1, &ret->id_offset))
		return fail(error, CLI_USAGE, "--id-offset is a whole number of bytes from 0 to %d, not \"%s\"",
			    CANARY_CONNECTION_ID_MAX - 1, id_offset);
	if (id_length && parse_unsigned(id_length, 1, CANARY_SERVER_ID_MAX, &ret->id_length))
		return fail(error, CLI_USAGE, "--id-length is a whole number of bytes from 1 to %d, not \"%s\"",
			    CANARY_SERVER_ID_MAX, id_length);
	if ((id_offset || id_length) && ret->affinity != CANARY_AFFINITY_QUIC)
		return fail(error, CLI_USAGE, "--id-offset and --id-length are for --affinity quic");
	if (track && parse_track(track, &ret->track))
		return fail(error, CLI_USAGE, "--track is %s, not \"%s\"", track_names(), track);
	if (overflow && parse_overflow(overflow, &ret->overflow))
		return fail(error, CLI_USAGE, "--overflow is %s, not \"%s\"", overflow_names(), overflow);
	if (mss && parse_mss(mss, &ret->mss))
		return fail(error, CLI_USAGE, "--mss is auto, off or %d to %d bytes, not \"%s\"", CANARY_MSS_MIN,
			    CANARY_MSS_MAX, mss);
	if (idle_timeout && parse_duration(idle_timeout, 1, IDLE_TIMEOUT_MAX, &ret->idle_timeout))
		return fail(error, CLI_USAGE, "--idle-timeout is 1s to 24h, as in 90s or 15m, not \"%s\"",
			    idle_timeout);
	if (max_window && parse_duration(max_window, 1, MAX_WINDOW_MAX, &ret->max_window))
		return fail(error, CLI_USAGE, "--max-window is 1s to 7d, as in 90s or 24h, not \"%s\"", max_window);
	return 0;
}

/* Fills in a service from NAME PROTO ADDRESS:PORT and the options. 0 or CLI_USAGE. */
static int parse_service(const struct cli *cli, struct service_model *ret, struct error *error)
{
	const char *name = cli->arguments[0], *proto = cli->arguments[1], *address = cli->arguments[2];
	int code;

	if (!name_is_valid(name))
		return fail(error, CLI_USAGE,
			    "\"%s\" is not a name: up to %d letters, digits, '-', '_' and '.', beginning with a letter "
			    "or digit",
			    name, CANARY_NAME_LEN - 1);
	if (parse_proto(proto, &ret->proto))
		return fail(error, CLI_USAGE, "\"%s\" is no protocol: tcp or udp", proto);
	code = argument_endpoint(address, &ret->addr, &ret->port, error);
	if (code)
		return code;
	if (ret->port == PORT_DEFAULT)
		return fail(error, CLI_USAGE, "\"%s\" lacks a port: write ADDRESS:PORT, with port 0 for every port",
			    address);
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	ret->weight = 0;
	ret->assignment = 1;
	return parse_choices(cli, ret, error);
}

static int add_service(struct change *change, const struct service_model *wanted, struct error *error)
{
	struct service_model *service;

	if (model_find_service(&change->actual, wanted->name))
		return fail(error, -EEXIST, "there is a service %s already: see canaryctl service list", wanted->name);
	service = model_add_service(&change->desired);
	if (!service)
		return fail(error, -ENOMEM, "out of memory");
	*service = *wanted;
	return change_commit(change, error);
}

int cmd_service_add(const struct cli *cli, struct error *error)
{
	struct service_model wanted = service_defaults();
	struct change change;
	int err = parse_service(cli, &wanted, error);

	if (err)
		return err;
	err = change_begin(&change, cli, DATAPLANE_CREATE, NULL, error);
	if (!err)
		err = add_service(&change, &wanted, error);
	if (!err) {
		char endpoint[ADDR_TEXT_LEN];

		report(cli, true, service_epoch(model_find_service(&change.desired, wanted.name)),
		       "%s: added for %s %s, forward %s, affinity %s", wanted.name, proto_name(wanted.proto),
		       format_endpoint(&wanted.addr, wanted.port, endpoint), forward_name(wanted.forward),
		       affinity_name(wanted.affinity));
	}
	change_end(&change);
	if (!err)
		host_follow(cli);
	return err ? CLI_FAILED : CLI_DONE;
}

/* A rollout's service stays while that is under way, unless somebody insists. */
static int check_owner(const struct cli *cli, const char *service, struct error *error)
{
	struct owners owners;
	int err;

	if (cli->values[OPT_FORCE])
		return 0;
	err = owner_read(cli, &owners, error);
	if (!err && owners_find(&owners, service))
		err = owner_refuse_deletion(service, error);
	owners_free(&owners);
	return err;
}

int cmd_service_del(const struct cli *cli, struct error *error)
{
	const char *name = cli->arguments[0];
	struct change change;
	int err;

	err = change_begin(&change, cli, DATAPLANE_CHANGE, name, error);
	if (!err)
		err = check_owner(cli, name, error);
	if (!err) {
		model_remove_service(&change.desired, change.desired.services);
		err = change_commit(&change, error);
	}
	if (!err)
		report(cli, true, json_pack("{s:s}", "service", name), "%s: deleted, with %zu backends", name,
		       change.actual.services[0].backend_count);
	change_end(&change);
	if (!err)
		host_follow(cli);
	return err ? CLI_FAILED : CLI_DONE;
}

static void print_services(const struct cli *cli, const json_t *services)
{
	static const char *const heads[] = {"NAME",    "PROTOCOL", "ADDRESS", "WEIGHT",	 "EPOCH",
					    "FORWARD", "AFFINITY", "TRACK",   "OVERFLOW"};
	struct table table = {};
	json_t *service;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		if (i == 3 || i == 4)
			table_right(&table, STYLE_BOLD, "%s", heads[i]);
		else
			table_left(&table, STYLE_BOLD, "%s", heads[i]);
	}
	table_end_row(&table);
	json_array_foreach (services, i, service) {
		char endpoint[96];

		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "name"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "protocol"));
		table_left(&table, STYLE_PLAIN, "%s", endpoint_of(service, endpoint));
		table_right(&table, STYLE_PLAIN, "%.2f%%", number_of(service, "weight"));
		table_right(&table, STYLE_PLAIN, "%lld", (long long)integer_of(service, "epoch"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "forward"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "affinity"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "track"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "overflow"));
		table_end_row(&table);
	}
	table_print(&table, cli, 0);
}

int cmd_service_list(const struct cli *cli, struct error *error)
{
	struct dataplane *dataplane;
	struct model model;
	json_t *services;

	if (read_running(cli, NULL, &dataplane, &model, error))
		return CLI_FAILED;
	services = json_array();
	for (size_t i = 0; i < model.service_count; i++)
		json_array_append_new(services, view_service(&model.services[i]));
	owner_show(cli, services);
	if (cli->json)
		print_json(json_pack("{s:O}", "services", services));
	else if (model.service_count)
		print_services(cli, services);
	else
		puts("no services");
	json_decref(services);
	model_free(&model);
	dataplane_close(dataplane);
	return CLI_DONE;
}
