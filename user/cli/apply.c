/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl apply, validate */
#include <errno.h>
#include <stdio.h>

#include "cli/apply.h"
#include "cli/next_hops.h"
#include "cli/output.h"
#include "io/config.h"

static int check_canaries(const struct change *change, struct error *error)
{
	char weight[WEIGHT_TEXT_LEN];

	for (size_t i = 0; i < change->desired.service_count; i++) {
		const struct service_model *service = &change->desired.services[i];
		const struct service_model *now = model_find_service(&change->actual, service->name);

		/* What is so already is no reason to refuse; a file that says so itself was refused before. */
		if (!service->id || !service->weight || service_backends_up(service, CANARY_CANARY) ||
		    !service_backends_up(now, CANARY_CANARY))
			continue;
		return fail(error, -EBUSY,
			    "this would delete the last canary backend of %s, whose weight in force is %s: say "
			    "`weight: 0` in the file, or give --force",
			    service->name, format_weight(service->weight, weight));
	}
	return 0;
}

int apply_begin(struct change *change, struct plan *plan, const struct cli *cli, const char *file,
		enum dataplane_access access, bool force, struct error *error)
{
	struct model wanted;
	int err = config_load(file, &wanted, error);

	*change = (struct change){};
	*plan = (struct plan){};
	if (err)
		return err;
	err = change_begin(change, cli, access, NULL, error);
	/* Where nothing is yet, a dry run compares with nothing. */
	if (err == -ENOENT && access == DATAPLANE_READ)
		err = 0;
	model_free(&change->desired);
	change->desired = wanted;
	if (!err && plan_make(&change->actual, &change->desired, plan))
		err = fail(error, -ENOMEM, "out of memory");
	if (!err && !force)
		err = check_canaries(change, error);
	return err;
}

json_t *apply_operations(const struct plan *plan)
{
	json_t *operations = json_array();

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_step *step = &plan->steps[i];

		json_array_append_new(operations, json_pack("{s:s, s:o, s:o}", "op", step_name(step->type), "service",
							    json_text(step->service), "text", json_text(step->text)));
	}
	return operations;
}

static char step_sign(enum step_type type)
{
	switch (type) {
	case STEP_ADD_SERVICE:
	case STEP_ADD_BACKEND:
	case STEP_ADD_SEGMENT:
		return '+';
	case STEP_DELETE_SERVICE:
	case STEP_DELETE_BACKEND:
	case STEP_DELETE_SEGMENT:
		return '-';
	default:
		return '~';
	}
}

void apply_print(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		printf("%c %s: %s\n", step_sign(plan->steps[i].type), plan->steps[i].service, plan->steps[i].text);
}

static void report_apply(const struct cli *cli, const struct change *change, const struct plan *plan, bool applied)
{
	json_t *services, *details;

	if (!cli->json) {
		apply_print(plan);
		if (!plan->count)
			puts("nothing to do: it runs as the file says");
		return;
	}
	services = json_array();
	for (size_t i = 0; applied && i < change->desired.service_count; i++)
		json_array_append_new(services, service_epoch(&change->desired.services[i]));
	details = json_pack("{s:o, s:b, s:o}", "operations", apply_operations(plan), "applied", applied, "services",
			    services);
	report(cli, applied && plan->count, details, "%zu operations%s", plan->count, applied ? "" : " to be done");
}

int cmd_apply(const struct cli *cli, struct error *error)
{
	bool dry = cli->values[OPT_DRY_RUN];
	struct change change;
	struct plan plan;
	int err;

	err = apply_begin(&change, &plan, cli, cli->values[OPT_FILE], dry ? DATAPLANE_READ : DATAPLANE_CREATE,
			  cli->values[OPT_FORCE], error);
	if (!err && !dry && plan.count)
		err = change_commit(&change, error);
	if (!err)
		report_apply(cli, &change, &plan, !dry);
	if (!err && !dry)
		next_hops_prepare(cli, change.dataplane, &change.desired, &change.actual);
	plan_free(&plan);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_validate(const struct cli *cli, struct error *error)
{
	const char *file = cli->arguments[0];
	struct model model;

	if (config_load(file, &model, error))
		return CLI_FAILED;
	if (cli->json)
		print_json(json_pack("{s:b, s:I}", "valid", true, "services", (json_int_t)model.service_count));
	else
		report(cli, false, NULL, "%s: %zu service%s, ok", file, model.service_count,
		       model.service_count == 1 ? "" : "s");
	model_free(&model);
	return CLI_DONE;
}
