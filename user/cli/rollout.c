/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl rollout start, pause, … : what is asked of the daemon, and rollback, which does without if it must. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/daemon_client.h"
#include "cli/fleet.h"
#include "cli/output.h"
#include "cli/owner.h"
#include "cli/rollout.h"
#include "cli/view.h"
#include "core/text.h"
#include "io/config.h"
#include "io/plan_json.h"

#define ROLLBACK_MS 5000 /* a daemon that has not answered by then hangs, and a rollback is urgent */

/* The only service of {"services": [STATUS, …]}. */
static int only_service(const json_t *services, char ret[CANARY_NAME_LEN], struct error *error)
{
	char names[512] = "";
	size_t at = 0, i;
	json_t *status;

	if (!json_array_size(services))
		return fail(error, -ENOENT, "canaryd has no service: name one in its configuration");
	if (json_array_size(services) == 1) {
		snprintf(ret, CANARY_NAME_LEN, "%s", text_of(json_array_get(services, 0), "service"));
		return 0;
	}
	json_array_foreach (services, i, status) {
		if (at < sizeof(names))
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "",
					       text_of(status, "service"));
	}
	return fail(error, -EINVAL, "which service? There are %s", names);
}

int rollout_only_service(const struct cli *cli, int timeout_ms, char ret[CANARY_NAME_LEN], struct error *error)
{
	const struct daemon_request request = {
		.socket = cli->socket, .method = "GET", .path = "/v1/services", .timeout_ms = timeout_ms};
	json_t *answer;
	int err = daemon_ask(&request, &answer, NULL, error);

	if (err)
		return err;
	make_harmless(answer);
	err = only_service(json_object_get(answer, "services"), ret, error);
	json_decref(answer);
	return err;
}

/* timeout_ms: as of a daemon_request. */
static int find_service(const struct cli *cli, int timeout_ms, char ret[CANARY_NAME_LEN], struct error *error)
{
	if (!cli->argument_count)
		return rollout_only_service(cli, timeout_ms, ret, error);
	if (!name_is_valid(cli->arguments[0]))
		return fail(error, -EINVAL, "\"%s\" is not a service's name", cli->arguments[0]);
	snprintf(ret, CANARY_NAME_LEN, "%s", cli->arguments[0]);
	return 0;
}

int rollout_service(const struct cli *cli, char ret[CANARY_NAME_LEN], struct error *error)
{
	return find_service(cli, 0, ret, error);
}

int rollout_ask(const struct cli *cli, const struct rollout_question *question, json_t **ret, struct error *error)
{
	char path[256];
	struct daemon_request request = {
		.socket = cli->socket,
		.method = question->method,
		.path = path,
		.body = question->body,
		.timeout_ms = question->timeout_ms,
	};
	int err;

	snprintf(path, sizeof(path), "/v1/services/%s/rollout%s", question->service, question->tail);
	err = daemon_ask(&request, ret, NULL, error);
	if (!err)
		make_harmless(*ret);
	return err;
}

int rollout_get(const struct cli *cli, const char *service, const char *tail, json_t **ret, struct error *error)
{
	const struct rollout_question question = {.method = "GET", .service = service, .tail = tail};

	return rollout_ask(cli, &question, ret, error);
}

/* The service's plan of a file, a configuration or a plan's own, as a member of the body. */
static int add_plan(json_t *body, const char *path, const char *name, struct error *error)
{
	struct rollout_plan plan = rollout_plan_default();
	const struct service_model *service;
	struct model model;
	json_t *view;
	char *text;
	int err = config_or_plan_load(path, name, &model, error);

	if (err)
		return err;
	service = pick_service(&model, name, error);
	if (service && service->rollout)
		plan = *service->rollout;
	err = service ? 0 : -ENOENT;
	model_free(&model);
	if (err)
		return err;
	view = must(plan_json(&plan));
	text = must(json_dumps(view, JSON_COMPACT));
	json_decref(view);
	json_object_set_new(body, "plan", json_string(text));
	free(text);
	return 0;
}

/* What the options say. NULL with a sentence. */
static json_t *request_body(const struct cli *cli, const char *service, struct error *error)
{
	json_t *body = json_object();

	if (cli->values[OPT_FILE] && add_plan(body, cli->values[OPT_FILE], service, error)) {
		json_decref(body);
		return NULL;
	}
	if (cli->values[OPT_FULL])
		json_object_set_new(body, "full", json_true());
	if (cli->values[OPT_RESET])
		json_object_set_new(body, "reset", json_true());
	if (cli->values[OPT_REASON])
		json_object_set_new(body, "reason", json_text(cli->values[OPT_REASON]));
	return body;
}

/* "start" of "rollout start". */
static const char *verb_of(const struct cli *cli)
{
	return strchr(cli->command->name, ' ') + 1;
}

static int request(const struct cli *cli, int timeout_ms, json_t **ret, struct error *error)
{
	char service[CANARY_NAME_LEN], tail[32];
	struct rollout_question question = {
		.method = "POST", .service = service, .tail = tail, .timeout_ms = timeout_ms};
	json_t *body;
	int err = find_service(cli, timeout_ms, service, error);

	if (err)
		return err;
	body = request_body(cli, service, error);
	if (!body)
		return -EINVAL;
	question.body = body;
	snprintf(tail, sizeof(tail), "/%s", verb_of(cli));
	err = rollout_ask(cli, &question, ret, error);
	json_decref(body);
	return err;
}

static void show_line(const struct cli *cli, json_t *status)
{
	if (cli->json) {
		print_json(status);
		return;
	}
	rollout_print_line(status);
	putchar('\n');
	json_decref(status);
}

int cmd_rollout_request(const struct cli *cli, struct error *error)
{
	json_t *status;

	if (request(cli, 0, &status, error))
		return CLI_FAILED;
	show_line(cli, status);
	return CLI_DONE;
}

/*
 * With nobody to ask: the weight goes to 0 as by set-weight, as a new assignment. A daemon that comes back finds an
 * assignment that is not its own, with a weight of 0, and takes the rollout for rolled back.
 */
static int roll_back_alone(const struct cli *cli, struct error *error)
{
	const char *name = cli->argument_count ? cli->arguments[0] : NULL;
	struct service_model *service = NULL;
	struct change change;
	int err = change_begin(&change, cli, DATAPLANE_CHANGE, name, error);

	if (!err)
		service = pick_service(&change.desired, name, error);
	if (!err && !service)
		err = -ENOENT;
	if (!err) {
		service->weight = 0;
		service->lease = 0;
		service->reset_after = cli->values[OPT_RESET] ? 0 : RESET_NEVER;
		service->assignment++;
		/* Not checked as other edits are: a weight of 0 is never wrong. */
		err = change_commit_unchecked(&change, error);
	}
	if (!err)
		owner_disown(cli, service, 1);
	if (!err)
		report(cli, true,
		       json_pack("{s:o, s:s, s:f, s:b}", "service", json_text(service->name), "state", "rolled_back",
				 "weight", 0.0, "daemon", 0),
		       "%s: canary weight 0%%; canaryd will note the rollback when it runs again", service->name);
	change_end(&change);
	return err;
}

int cmd_rollout_rollback(const struct cli *cli, struct error *error)
{
	struct error why;
	json_t *status;

	if (cli->values[OPT_FLEET])
		return fleet_roll_back(cli, error);
	if (!request(cli, ROLLBACK_MS, &status, &why)) {
		if (json_object_get(status, "took_ms"))
			fleet_report(cli, status);
		else
			show_line(cli, status);
		return CLI_DONE;
	}
	if (roll_back_alone(cli, error)) {
		print_warning(cli, "%s", why.text);
		return CLI_FAILED;
	}
	print_warning(cli, "done without canaryd: %s", why.text);
	return CLI_DONE;
}
