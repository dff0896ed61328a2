/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl status */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary/abi.h"
#include "cli/change.h"
#include "ops/clock.h"
#include "cli/flows.h"
#include "cli/guard.h"
#include "cli/output.h"
#include "cli/owner.h"
#include "cli/surroundings.h"
#include "cli/view.h"
#include "cli/windows.h"
#include "core/text.h"
#include "io/netlink.h"

#define NSEC_PER_SEC 1e9

static void add_members(json_t *view, const struct service_model *service, const unsigned *flows,
			struct surroundings *surroundings)
{
	json_t *backends = json_array(), *segments = json_array();

	for (size_t j = 0; j < service->backend_count; j++) {
		json_t *backend = view_backend_flows(&service->backends[j], flows);

		json_object_set_new(backend, "next_hop",
				    json_string(surroundings_next_hop(surroundings, &service->backends[j])));
		json_array_append_new(backends, backend);
	}
	for (size_t j = 0; j < service->segment_count; j++)
		json_array_append_new(segments, view_segment(&service->segments[j]));
	json_object_set_new(view, "backends", backends);
	json_object_set_new(view, "segments", segments);
}

static int add_services(json_t *status, struct dataplane *dataplane, const struct model *model,
			struct surroundings *surroundings, struct error *error)
{
	json_t *views = json_object_get(status, "services");
	unsigned *exposed = must(calloc(CANARY_MAX_SERVICES, sizeof(*exposed))), *flows;
	int err = flows_of_draining(dataplane, model, &flows, error);

	if (!err) {
		err = dataplane_exposed_flows(dataplane, exposed);
		if (err)
			fail(error, err, "cannot read the flows: %s", strerror(-err));
	}

	for (size_t i = 0; !err && i < model->service_count; i++) {
		json_t *view = view_service(&model->services[i]);
		json_t *window = view_window(dataplane, &model->services[i], error);

		json_array_append_new(views, view);
		if (!window) {
			err = -EIO;
			break;
		}
		json_object_set_new(view, "window", window);
		json_object_set_new(view, "exposed_flows", json_integer(exposed[model->services[i].id]));
		err = guard_add(view, dataplane, &model->services[i], error);
		add_members(view, &model->services[i], flows, surroundings);
	}
	free(flows);
	free(exposed);
	return err;
}

static int add_interfaces(json_t *status, struct dataplane *dataplane, struct surroundings **ret_surroundings,
			  struct error *error)
{
	json_t *views = json_object_get(status, "interfaces");
	struct interface *interfaces;
	size_t count;
	int err = list_interfaces(dataplane, &interfaces, &count, error);

	if (err)
		return err;
	*ret_surroundings = surroundings_open(interfaces, count);
	for (size_t i = 0; i < count; i++) {
		const struct interface *interface = &interfaces[i];
		const __u8 *mac = interface->mac;
		json_t *view = view_interface(interface);
		char text[18];

		snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			 mac[5]);
		json_object_set_new(view, "ifindex", json_integer(interface->ifindex));
		json_object_set_new(view, "mac", json_string(text));
		json_object_set_new(view, "mac_changed",
				    json_boolean(surroundings_mac_changed(*ret_surroundings, interface)));
		json_object_set_new(view, "netns", json_integer(interface->netns));
		json_object_set_new(view, "gone", json_boolean(interface->gone));
		json_array_append_new(views, view);
	}
	free(interfaces);
	return 0;
}

static json_t *view_sweeper(const struct dataplane_info *info)
{
	bool dead = info->sweeper_age_ns > DATAPLANE_SWEEPER_DEAD_NS;
	char last_tick[CLOCK_TEXT_LEN];

	clock_wall_text(clock_monotonic_ns() - info->sweeper_age_ns, last_tick);
	return json_pack("{s:o, s:s, s:f, s:s}", "build", json_text(info->sweeper_build), "last_tick", last_tick, "age",
			 info->sweeper_age_ns / NSEC_PER_SEC, "state", dead ? "dead" : "ok");
}

static int add_program(json_t *status, struct dataplane *dataplane, struct error *error)
{
	struct dataplane_info info;
	int err = dataplane_info(dataplane, &info, error);

	if (err)
		return err;
	json_object_set_new(status, "program",
			    json_pack("{s:I, s:o, s:o, s:i}", "id", (json_int_t)info.program_id, "tag",
				      json_text(info.program_tag), "build", json_text(info.build), "abi",
				      (int)info.abi));
	json_object_set_new(status, "map_bytes", json_integer((json_int_t)info.map_bytes));
	json_object_set_new(status, "max_flows", json_integer(info.max_flows));
	json_object_set_new(status, "sweeper", view_sweeper(&info));
	return 0;
}

static void print_interfaces(const struct cli *cli, const json_t *interfaces)
{
	struct table table = {};
	json_t *interface;
	size_t i;

	json_array_foreach (interfaces, i, interface) {
		long long position = integer_of(interface, "position");
		bool chain = json_is_true(json_object_get(interface, "chain"));

		table_left(&table, STYLE_BOLD, "%s", text_of(interface, "name"));
		if (chain && position)
			table_left(&table, STYLE_PLAIN, "attached in %s mode, program %lld of %lld",
				   text_of(interface, "mode"), position, (long long)integer_of(interface, "programs"));
		else
			table_left(&table, STYLE_PLAIN, "attached in %s mode%s", text_of(interface, "mode"),
				   chain ? ", in a chain" : "");
		table_left(&table, STYLE_PLAIN, "%s", text_of(interface, "mac"));
		table_left(&table, STYLE_PLAIN, "net:[%lld]", (long long)integer_of(interface, "netns"));
		if (json_is_true(json_object_get(interface, "gone")))
			table_left(&table, STYLE_ALARM, "the interface was deleted: detach it");
		else if (chain && !position && integer_of(interface, "netns") == netns_inode())
			table_left(&table, STYLE_ALARM, "its program was taken out: attach again");
		table_end_row(&table);
	}
	table_print(&table, cli, 0);
}

static void print_members(const struct cli *cli, const json_t *service)
{
	struct table table = {};
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(service, "backends"), i, item) {
		char endpoint[96], state[64];

		table_left(&table, STYLE_PLAIN, "%s", text_of(item, "cohort"));
		table_left(&table, STYLE_PLAIN, "%s", endpoint_of(item, endpoint));
		table_left(&table, STYLE_PLAIN, "weight %lld", (long long)integer_of(item, "weight"));
		table_left(&table, STYLE_PLAIN, "%s", state_of(item, state));
		if (!strcmp(text_of(item, "next_hop"), "unresolved"))
			table_left(&table, STYLE_ALARM, "next hop not resolved");
		table_end_row(&table);
	}
	json_array_foreach (json_object_get(service, "segments"), i, item) {
		table_left(&table, STYLE_PLAIN, "%s", text_of(item, "cohort"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(item, "clients"));
		table_left(&table, STYLE_PLAIN, "segment");
		table_end_row(&table);
	}
	table_print(&table, cli, 2);
}

static void print_service(const struct cli *cli, const json_t *service)
{
	char idle_timeout[DURATION_TEXT_LEN], max_window[DURATION_TEXT_LEN];

	print_service_line(cli, service);
	guard_print_alarms(cli, service);
	printf("  idle timeout %s, windows of at most %s\n",
	       format_duration((unsigned)integer_of(service, "idle_timeout"), idle_timeout),
	       format_duration((unsigned)integer_of(service, "max_window"), max_window));
	guard_print(service);
	print_window(cli, json_object_get(service, "window"));
	if (integer_of(service, "exposed_flows"))
		printf("  %lld exposed flows: no other balancer knows where they are\n",
		       (long long)integer_of(service, "exposed_flows"));
	print_members(cli, service);
}

static bool is_sweeper_dead(const json_t *status)
{
	return !strcmp(text_of(json_object_get(status, "sweeper"), "state"), "dead");
}

static void print_status(const struct cli *cli, const json_t *status)
{
	const json_t *interfaces = json_object_get(status, "interfaces"),
		     *services = json_object_get(status, "services");
	const json_t *program = json_object_get(status, "program"), *sweeper = json_object_get(status, "sweeper");
	enum style style = is_sweeper_dead(status) ? STYLE_ALARM : STYLE_PLAIN;
	json_t *service;
	size_t i;

	if (!json_array_size(interfaces) && !json_array_size(services)) {
		puts("nothing attached, no services");
		return;
	}
	if (!json_array_size(interfaces))
		puts("nothing is attached");
	print_interfaces(cli, interfaces);
	printf("program %lld, tag %s, built by %s (ABI %lld); this is %s (ABI %lld); maps of %.1f MiB, with room for "
	       "%lld "
	       "flows, in %s\n",
	       (long long)integer_of(program, "id"), text_of(program, "tag"), text_of(program, "build"),
	       (long long)integer_of(program, "abi"), text_of(status, "version"), (long long)integer_of(status, "abi"),
	       (double)integer_of(status, "map_bytes") / (1 << 20), (long long)integer_of(status, "max_flows"),
	       text_of(status, "bpffs"));
	printf("%ssweeper of build %s, last tick %s (%.3f s ago)%s\n", style_begin(cli, style),
	       text_of(sweeper, "build"), text_of(sweeper, "last_tick"), number_of(sweeper, "age"),
	       style_end(cli, style));
	json_array_foreach (services, i, service) {
		putchar('\n');
		print_service(cli, service);
	}
	if (!json_array_size(services))
		puts("no services");
}

/* Where there is work for it. */
static int check_sweeper(const json_t *status, struct error *error)
{
	const json_t *sweeper = json_object_get(status, "sweeper");

	if (!is_sweeper_dead(status) || (!json_array_size(json_object_get(status, "interfaces")) &&
					 !json_array_size(json_object_get(status, "services"))))
		return 0;
	return fail(error, -EIO,
		    "the sweeper in the kernel has stopped: its last tick was %.0f seconds ago, so windows do not "
		    "close and "
		    "flows are not forgotten: canaryctl upgrade starts it again",
		    number_of(sweeper, "age"));
}

int cmd_status(const struct cli *cli, struct error *error)
{
	struct surroundings *surroundings = NULL;
	struct dataplane *dataplane;
	struct model model;
	json_t *status;
	int err = 0;

	if (cli->values[OPT_FLEET])
		return cmd_fleet_status(cli, error);
	if (read_running(cli, NULL, &dataplane, &model, error))
		return CLI_FAILED;
	status = json_pack("{s:s, s:i, s:o, s:n, s:I, s:I, s:n, s:[], s:[]}", "version", CANARY_VERSION, "abi",
			   CANARY_ABI_VERSION, "bpffs", json_text(cli->dir), "program", "map_bytes", (json_int_t)0,
			   "max_flows", (json_int_t)0, "sweeper", "interfaces", "services");
	if (dataplane) {
		err = add_interfaces(status, dataplane, &surroundings, error);
		if (!err)
			err = add_program(status, dataplane, error);
		if (!err)
			err = add_services(status, dataplane, &model, surroundings, error);
	}
	owner_show(cli, json_object_get(status, "services"));
	if (!err && cli->json)
		print_json(json_incref(status));
	else if (!err)
		print_status(cli, status);
	if (!err && surroundings)
		surroundings_warn(surroundings, cli);
	if (!err)
		err = check_sweeper(status, error);
	surroundings_close(surroundings);
	json_decref(status);
	model_free(&model);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}
