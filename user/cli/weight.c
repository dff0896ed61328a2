/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl set-weight, stop: the share of new flows that the canary gets. */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>

#include "canary/select.h"
#include "cli/change.h"
#include "cli/fleet.h"
#include "cli/output.h"
#include "cli/owner.h"
#include "core/text.h"

#define DRAIN_MAX (7 * 86400)

/* What a command asks for. */
struct assignment {
	int weight; /* in 1/100 percent */
	unsigned lease; /* s; 0: none; LEASE_UNSET: what the service says */
	int reset_after; /* s, or RESET_NEVER */
};

/* What --reset and --drain say. 0 or CLI_USAGE. */
static int parse_reset(const struct cli *cli, int *ret, struct error *error)
{
	const char *drain = cli->values[OPT_DRAIN];
	unsigned seconds;

	*ret = cli->values[OPT_RESET] ? 0 : RESET_NEVER;
	if (!drain)
		return 0;
	if (cli->values[OPT_RESET])
		return fail(error, CLI_USAGE, "--reset is now and --drain is later: give one of them");
	if (parse_duration(drain, 1, DRAIN_MAX, &seconds))
		return fail(error, CLI_USAGE, "--drain is 1s to 7d, as in 30, 5m or 1h30m, not \"%s\"", drain);
	*ret = (int)seconds;
	return 0;
}

/* What becomes of connections that are elsewhere than the weight has them. */
static const char *format_reset(int reset_after, char buf[64])
{
	char duration[DURATION_TEXT_LEN];

	if (reset_after > 0)
		snprintf(buf, 64, "; connections placed elsewhere are reset in %s",
			 format_duration((unsigned)reset_after, duration));
	else
		snprintf(buf, 64, "%s", reset_after ? "" : "; connections placed elsewhere are reset now");
	return buf;
}

static json_t *view_reset(int reset_after)
{
	return reset_after == RESET_NEVER ? json_null() : json_integer(reset_after);
}

static void assign(struct service_model *service, const struct assignment *assignment)
{
	service->weight = assignment->weight;
	service->reset_after = assignment->reset_after;
	service->lease = assignment->lease == LEASE_UNSET ? service_default_lease(service) : assignment->lease;
	/* Also where the weight stays the same: somebody said so now, and that ends what an earlier assignment began. */
	service->assignment++;
}

/* A rollout's weight is the rollout's, unless somebody insists. */
static int check_owner(const struct cli *cli, const struct owners *owners, const char *service, struct error *error)
{
	if (cli->values[OPT_FORCE] || !owners_find(owners, service))
		return 0;
	return fail(error, -EBUSY,
		    "the weight of %s belongs to its rollout, see canaryctl rollout status: roll back with canaryctl "
		    "rollout rollback, or give --force, which pauses the rollout",
		    service);
}

static int set_weight(struct change *change, const struct assignment *assignment, struct error *error)
{
	const struct cli *cli = change->cli;
	struct service_model *service = pick_service(&change->desired, cli->values[OPT_SERVICE], error);
	struct owners owners;
	int err;

	if (!service)
		return -ENOENT;
	if (assignment->weight && !service_backends_up(service, CANARY_CANARY))
		return fail(error, -EINVAL,
			    "%s has no canary backend that takes new flows: add one first, with canaryctl backend add "
			    "%s canary ADDRESS",
			    service->name, service->name);
	err = owner_read(cli, &owners, error);
	if (err && !cli->values[OPT_FORCE])
		return err;
	err = check_owner(cli, &owners, service->name, error);
	assign(service, assignment);
	if (cli->values[OPT_NEW_SALT]) {
		service->salt_number++;
		service->salt = 0; /* derived from the number */
	}
	if (!err)
		err = change_commit(change, error);
	if (!err)
		owner_override(cli, &owners, service->name, service->weight);
	owners_free(&owners);
	return err;
}

/* What happens at its end. */
static const char *format_lease(const struct service_model *service, char buf[64])
{
	char duration[DURATION_TEXT_LEN];

	buf[0] = '\0';
	if (service->lease)
		snprintf(buf, 64, "; lease of %s, then %s", format_duration(service->lease, duration),
			 service->on_expiry == CANARY_EXPIRY_HOLD ? "it is held" : "new flows go to stable");
	return buf;
}

static void report_weight(const struct cli *cli, const struct service_model *before, const struct service_model *after,
			  int reset_after)
{
	char before_text[WEIGHT_TEXT_LEN], after_text[WEIGHT_TEXT_LEN], lease_text[64], reset_text[64];
	bool new_salt = after->salt_number != before->salt_number;
	json_t *details = service_epoch(after);

	json_object_set_new(details, "weight", json_real(after->weight / 100.0));
	json_object_set_new(details, "weight_before", json_real(before->weight / 100.0));
	json_object_set_new(details, "new_salt", json_boolean(new_salt));
	json_object_set_new(details, "lease", after->lease ? json_integer(after->lease) : json_null());
	json_object_set_new(details, "reset_after", view_reset(reset_after));
	report(cli, true, details, "%s: canary weight %s (was %s)%s, epoch %llu%s%s", after->name,
	       format_weight(after->weight, after_text), format_weight(before->weight, before_text),
	       new_salt ? ", new salt" : "", (unsigned long long)canary_word_epoch(after->word),
	       format_lease(after, lease_text), format_reset(reset_after, reset_text));
}

/* 0 or CLI_USAGE. */
static int parse_assignment(const struct cli *cli, struct assignment *ret, struct error *error)
{
	const char *lease = cli->values[OPT_LEASE];

	*ret = (struct assignment){.lease = LEASE_UNSET};
	if (parse_weight(cli->arguments[0], &ret->weight))
		return fail(error, CLI_USAGE, "\"%s\" is not a weight: 0 to 100 percent, with at most two decimals",
			    cli->arguments[0]);
	if (lease && argument_lease(lease, &ret->lease, error))
		return CLI_USAGE;
	return parse_reset(cli, &ret->reset_after, error);
}

int cmd_set_weight(const struct cli *cli, struct error *error)
{
	struct assignment assignment;
	struct change change;
	int err;

	if (parse_assignment(cli, &assignment, error))
		return CLI_USAGE;
	if (cli->values[OPT_FLEET])
		return fleet_set_weight(cli, assignment.weight, error);

	/* One service alone is read, where it is named: this is to take a millisecond, however many there are. */
	err = change_begin(&change, cli, DATAPLANE_CHANGE, cli->values[OPT_SERVICE], error);
	if (!err)
		err = set_weight(&change, &assignment, error);
	if (!err)
		report_weight(cli, &change.actual.services[0], &change.desired.services[0], assignment.reset_after);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_stop(const struct cli *cli, struct error *error)
{
	json_t *services;
	char reset_text[64];
	struct change change;
	size_t stopped = 0;
	struct assignment assignment = {};
	int err;

	if (parse_reset(cli, &assignment.reset_after, error))
		return CLI_USAGE;
	err = change_begin(&change, cli, DATAPLANE_CHANGE, NULL, error);
	if (err == -ENOENT)
		err = 0;
	for (size_t i = 0; i < change.desired.service_count; i++) {
		stopped += change.desired.services[i].weight > 0;
		assign(&change.desired.services[i], &assignment);
	}
	/* Not checked as other edits are: a weight of 0 is never wrong, and an emergency brake asks no questions. */
	if (!err && change.desired.service_count)
		err = change_commit_unchecked(&change, error);
	if (!err)
		owner_disown(cli, change.desired.services, change.desired.service_count);
	services = json_array();
	for (size_t i = 0; !err && i < change.desired.service_count; i++)
		json_array_append_new(services, service_epoch(&change.desired.services[i]));
	if (!err)
		report(cli, change.desired.service_count > 0,
		       json_pack("{s:O, s:o}", "services", services, "reset_after", view_reset(assignment.reset_after)),
		       "stopped: %zu of %zu services had a canary weight above 0, now all have 0%s", stopped,
		       change.desired.service_count, format_reset(assignment.reset_after, reset_text));
	json_decref(services);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}
