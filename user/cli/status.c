/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl status */
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>

#include "canary/abi.h"
#include "cli/change.h"
#include "cli/output.h"
#include "cli/view.h"

static json_t *view_services(const struct model *model)
{
	json_t *services = json_array();

	for (size_t i = 0; i < model->service_count; i++) {
		const struct service_model *service = &model->services[i];
		json_t *view = view_service(service), *backends = json_array(), *segments = json_array();

		for (size_t j = 0; j < service->backend_count; j++)
			json_array_append_new(backends, view_backend(&service->backends[j]));
		for (size_t j = 0; j < service->segment_count; j++)
			json_array_append_new(segments, view_segment(&service->segments[j]));
		json_object_set_new(view, "backends", backends);
		json_object_set_new(view, "segments", segments);
		json_array_append_new(services, view);
	}
	return services;
}

static int add_interfaces(json_t *status, struct dataplane *dataplane, struct error *error)
{
	json_t *views = json_object_get(status, "interfaces");
	struct interface *interfaces;
	size_t count;
	int err = list_interfaces(dataplane, &interfaces, &count, error);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		const struct interface *interface = &interfaces[i];
		const __u8 *mac = interface->mac;
		json_t *view = view_interface(interface);
		char text[18];

		snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			 mac[5]);
		json_object_set_new(view, "ifindex", json_integer(interface->ifindex));
		json_object_set_new(view, "mac", json_string(text));
		json_object_set_new(view, "netns", json_integer(interface->netns));
		json_object_set_new(view, "gone", json_boolean(interface->gone));
		json_array_append_new(views, view);
	}
	free(interfaces);
	return 0;
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
	return 0;
}

static void print_interfaces(const struct cli *cli, const json_t *interfaces)
{
	struct table table = {};
	json_t *interface;
	size_t i;

	json_array_foreach (interfaces, i, interface) {
		table_left(&table, STYLE_BOLD, "%s", text_of(interface, "name"));
		table_left(&table, STYLE_PLAIN, "attached in %s mode", text_of(interface, "mode"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(interface, "mac"));
		table_left(&table, STYLE_PLAIN, "net:[%lld]", (long long)integer_of(interface, "netns"));
		if (json_is_true(json_object_get(interface, "gone")))
			table_left(&table, STYLE_ALARM, "the interface was deleted: detach it");
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
		char endpoint[96];

		table_left(&table, STYLE_PLAIN, "%s", text_of(item, "cohort"));
		table_left(&table, STYLE_PLAIN, "%s", endpoint_of(item, endpoint));
		table_left(&table, STYLE_PLAIN, "weight %lld", (long long)integer_of(item, "weight"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(item, "state"));
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

static void print_status(const struct cli *cli, const json_t *status)
{
	const json_t *interfaces = json_object_get(status, "interfaces"),
		     *services = json_object_get(status, "services");
	const json_t *program = json_object_get(status, "program");
	json_t *service;
	size_t i;

	if (!json_array_size(interfaces) && !json_array_size(services)) {
		puts("nothing attached, no services");
		return;
	}
	if (!json_array_size(interfaces))
		puts("nothing is attached");
	print_interfaces(cli, interfaces);
	printf("program %lld, tag %s, built by %s (ABI %lld); this is %s (ABI %lld); maps of %.1f MiB in %s\n",
	       (long long)integer_of(program, "id"), text_of(program, "tag"), text_of(program, "build"),
	       (long long)integer_of(program, "abi"), text_of(status, "version"), (long long)integer_of(status, "abi"),
	       (double)integer_of(status, "map_bytes") / (1 << 20), text_of(status, "bpffs"));
	json_array_foreach (services, i, service) {
		putchar('\n');
		print_service_line(cli, service);
		print_members(cli, service);
	}
	if (!json_array_size(services))
		puts("no services");
}

int cmd_status(const struct cli *cli, struct error *error)
{
	struct dataplane *dataplane;
	struct model model;
	json_t *status;
	int err = 0;

	if (read_running(cli, NULL, &dataplane, &model, error))
		return CLI_FAILED;
	status = json_pack("{s:s, s:i, s:o, s:n, s:I, s:[], s:o}", "version", CANARY_VERSION, "abi", CANARY_ABI_VERSION,
			   "bpffs", json_text(cli->dir), "program", "map_bytes", (json_int_t)0, "interfaces",
			   "services", view_services(&model));
	if (dataplane) {
		err = add_interfaces(status, dataplane, error);
		if (!err)
			err = add_program(status, dataplane, error);
	}
	if (!err && cli->json)
		print_json(json_incref(status));
	else if (!err)
		print_status(cli, status);
	json_decref(status);
	model_free(&model);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}
