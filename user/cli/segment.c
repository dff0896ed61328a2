/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl segment add|del|list */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>

#include "canary/select.h"
#include "cli/change.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/text.h"

static void report_segment(const struct cli *cli, const struct service_model *service,
			   const struct segment_model *segment, const char *done)
{
	char prefix[ADDR_TEXT_LEN];
	json_t *details = service_epoch(service);

	json_object_set_new(details, "segment", view_segment(segment));
	report(cli, true, details, "%s: clients of %s %s %s, epoch %llu", service->name,
	       format_prefix(&segment->addr, segment->prefix_len, prefix), done, cohort_name(segment->cohort),
	       (unsigned long long)canary_word_epoch(service->word));
}

static int add_segment(struct change *change, const struct segment_model *wanted, struct error *error)
{
	struct service_model *service = change->desired.services;
	struct segment_model *segment = service_find_segment(service, &wanted->addr, wanted->prefix_len);
	char prefix[ADDR_TEXT_LEN];

	if (segment && segment->cohort == wanted->cohort)
		return fail(error, -EEXIST, "%s is pinned to %s in %s already",
			    format_prefix(&wanted->addr, wanted->prefix_len, prefix), cohort_name(wanted->cohort),
			    service->name);
	if (!segment)
		segment = service_add_segment(service);
	if (!segment)
		return fail(error, -ENOMEM, "out of memory");
	*segment = *wanted;
	return change_commit(change, error);
}

int cmd_segment_add(const struct cli *cli, struct error *error)
{
	struct segment_model wanted = {};
	struct change change;
	int err;

	if (argument_prefix(cli->arguments[1], &wanted.addr, &wanted.prefix_len, error) ||
	    argument_cohort(cli->arguments[2], &wanted.cohort, error))
		return CLI_USAGE;

	err = change_begin(&change, cli, DATAPLANE_CHANGE, cli->arguments[0], error);
	if (!err)
		err = add_segment(&change, &wanted, error);
	if (!err)
		report_segment(cli, change.desired.services, &wanted, "pinned to");
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_segment_del(const struct cli *cli, struct error *error)
{
	struct segment_model *segment, wanted = {};
	struct change change;
	int err;

	if (argument_prefix(cli->arguments[1], &wanted.addr, &wanted.prefix_len, error))
		return CLI_USAGE;

	err = change_begin(&change, cli, DATAPLANE_CHANGE, cli->arguments[0], error);
	if (!err) {
		segment = service_find_segment(change.desired.services, &wanted.addr, wanted.prefix_len);
		if (segment) {
			wanted = *segment;
			service_remove_segment(change.desired.services, segment);
			err = change_commit(&change, error);
		} else {
			err = fail(error, -ENOENT, "%s has no segment %s: see canaryctl segment list %s",
				   cli->arguments[0], cli->arguments[1], cli->arguments[0]);
		}
	}
	if (!err)
		report_segment(cli, change.desired.services, &wanted, "no longer pinned to");
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

static void print_segments(const struct cli *cli, const json_t *segments)
{
	struct table table = {};
	json_t *segment;
	size_t i;

	table_left(&table, STYLE_BOLD, "SERVICE");
	table_left(&table, STYLE_BOLD, "CLIENTS");
	table_left(&table, STYLE_BOLD, "COHORT");
	table_end_row(&table);
	json_array_foreach (segments, i, segment) {
		table_left(&table, STYLE_PLAIN, "%s", text_of(segment, "service"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(segment, "clients"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(segment, "cohort"));
		table_end_row(&table);
	}
	table_print(&table, cli, 0);
}

int cmd_segment_list(const struct cli *cli, struct error *error)
{
	struct dataplane *dataplane;
	struct model model;
	json_t *segments;

	if (read_running(cli, cli->argument_count ? cli->arguments[0] : NULL, &dataplane, &model, error))
		return CLI_FAILED;
	segments = json_array();
	for (size_t i = 0; i < model.service_count; i++) {
		for (size_t j = 0; j < model.services[i].segment_count; j++) {
			json_t *segment = json_pack("{s:o}", "service", json_text(model.services[i].name));
			json_t *rest = view_segment(&model.services[i].segments[j]);

			json_object_update(segment, rest);
			json_decref(rest);
			json_array_append_new(segments, segment);
		}
	}
	if (cli->json)
		print_json(json_pack("{s:O}", "segments", segments));
	else if (json_array_size(segments))
		print_segments(cli, segments);
	else
		puts("no segments");
	json_decref(segments);
	model_free(&model);
	dataplane_close(dataplane);
	return CLI_DONE;
}
