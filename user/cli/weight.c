/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl set-weight, stop: the share of new flows that the canary gets. */
#include <errno.h>
#include <linux/types.h>

#include "canary/select.h"
#include "cli/change.h"
#include "cli/output.h"
#include "core/text.h"

static int set_weight(struct change *change, const char *name, int weight, struct error *error)
{
	struct service_model *service = pick_service(&change->desired, name, error);

	if (!service)
		return -ENOENT;
	if (weight && !service_backends_up(service, CANARY_CANARY))
		return fail(error, -EINVAL,
			    "%s has no canary backend that takes new flows: add one first, with canaryctl backend add "
			    "%s canary ADDRESS",
			    service->name, service->name);
	service->weight = weight;
	/* Also where the weight stays the same: somebody said so now, and that ends what an earlier assignment began. */
	service->assignment++;
	return change_commit(change, error);
}

static void report_weight(const struct cli *cli, const struct service_model *before, const struct service_model *after)
{
	char before_text[WEIGHT_TEXT_LEN], after_text[WEIGHT_TEXT_LEN];
	json_t *details = service_epoch(after);

	json_object_set_new(details, "weight", json_real(after->weight / 100.0));
	json_object_set_new(details, "weight_before", json_real(before->weight / 100.0));
	report(cli, true, details, "%s: canary weight %s (was %s), epoch %llu", after->name,
	       format_weight(after->weight, after_text), format_weight(before->weight, before_text),
	       (unsigned long long)canary_word_epoch(after->word));
}

int cmd_set_weight(const struct cli *cli, struct error *error)
{
	const char *name = cli->values[OPT_SERVICE];
	struct change change;
	int weight, err;

	if (parse_weight(cli->arguments[0], &weight))
		return fail(error, CLI_USAGE, "\"%s\" is not a weight: 0 to 100 percent, with at most two decimals",
			    cli->arguments[0]);

	/* One service alone is read, where it is named: this is to take a millisecond, however many there are. */
	err = change_begin(&change, cli, DATAPLANE_CHANGE, name, error);
	if (!err)
		err = set_weight(&change, name, weight, error);
	if (!err)
		report_weight(cli, &change.actual.services[0], &change.desired.services[0]);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_stop(const struct cli *cli, struct error *error)
{
	json_t *services = json_array();
	struct change change;
	size_t stopped = 0;
	int err;

	err = change_begin(&change, cli, DATAPLANE_CHANGE, NULL, error);
	if (err == -ENOENT)
		err = 0;
	for (size_t i = 0; i < change.desired.service_count; i++) {
		stopped += change.desired.services[i].weight > 0;
		change.desired.services[i].weight = 0;
		change.desired.services[i].assignment++;
	}
	/* Not checked as other edits are: a weight of 0 is never wrong, and an emergency brake asks no questions. */
	if (!err && change.desired.service_count)
		err = dataplane_commit(change.dataplane, &change.actual, &change.desired, error);
	if (!err) {
		for (size_t i = 0; i < change.desired.service_count; i++)
			json_array_append_new(services, service_epoch(&change.desired.services[i]));
		report(cli, change.desired.service_count > 0, json_pack("{s:O}", "services", services),
		       "stopped: %zu of %zu services had a canary weight above 0, now all have 0", stopped,
		       change.desired.service_count);
	}
	json_decref(services);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}
