/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fleet.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/daemon_client.h"
#include "cli/output.h"
#include "cli/rollout.h"
#include "cli/table.h"
#include "cli/view.h"
#include "core/text.h"
#include "io/config.h"

#define LEASE_MIN 3 /* s, as of the daemon */
#define FLEET_LEASE_MAX 600

static int ask(const struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret,
	       struct error *error)
{
	const struct daemon_request request = {.socket = cli->socket, .method = method, .path = path, .body = body};
	int err = daemon_ask(&request, ret, NULL, error);

	if (!err)
		make_harmless(*ret);
	return err;
}

void fleet_report(const struct cli *cli, json_t *changed)
{
	char now[WEIGHT_TEXT_LEN], before[WEIGHT_TEXT_LEN];
	const char *state = text_of(changed, "state"), *waits = text_of(changed, "waits");

	if (cli->json) {
		print_json(changed);
		return;
	}
	printf("%s: canary weight %s (was %s) in the fleet, change %lld: %s%s%s\n", text_of(changed, "service"),
	       format_weight((int)(number_of(changed, "weight") * 100 + 0.5), now),
	       format_weight((int)(number_of(changed, "weight_before") * 100 + 0.5), before),
	       (long long)integer_of(changed, "change"), state, *waits ? ", " : "", waits);
	json_decref(changed);
}

/* Takes the reference of the body. tail: "" or "/weight". */
static int change(const struct cli *cli, const char *service, const char *tail, json_t *body, struct error *error)
{
	const char *text = cli->values[OPT_IF_CHANGE];
	unsigned if_change;
	char path[256];
	json_t *changed;
	int err;

	if (text && parse_unsigned(text, 1, INT32_MAX, &if_change)) {
		json_decref(body);
		return fail(error, CLI_USAGE, "--if-change is a number, of fleet status, not \"%s\"", text);
	}
	if (text)
		json_object_set_new(body, "if_change", json_integer(if_change));
	snprintf(path, sizeof(path), "/v1/fleet/services/%s%s", service, tail);
	err = ask(cli, "POST", path, body, &changed, error);
	json_decref(body);
	if (err)
		return CLI_FAILED;
	fleet_report(cli, changed);
	return CLI_DONE;
}

/* The service that is named, or the fleet's only one. */
static int find_service(const struct cli *cli, const char *name, char ret[CANARY_NAME_LEN], struct error *error)
{
	const json_t *services;
	json_t *fleet;
	int err;

	if (name && !name_is_valid(name))
		return fail(error, -EINVAL, "\"%s\" is not a service's name", name);
	if (name) {
		snprintf(ret, CANARY_NAME_LEN, "%s", name);
		return 0;
	}
	err = ask(cli, "GET", "/v1/fleet", NULL, &fleet, error);
	if (err)
		return err;
	services = json_object_get(fleet, "services");
	if (json_array_size(services) == 1)
		snprintf(ret, CANARY_NAME_LEN, "%s", text_of(json_array_get(services, 0), "service"));
	else
		err = fail(error, -EINVAL, "the fleet has %zu services: say which with --service",
			   json_array_size(services));
	json_decref(fleet);
	return err;
}

int fleet_set_weight(const struct cli *cli, int weight, struct error *error)
{
	char service[CANARY_NAME_LEN];
	json_t *body;

	if (cli->values[OPT_LEASE] || cli->values[OPT_RESET] || cli->values[OPT_DRAIN] || cli->values[OPT_FORCE])
		return fail(error, CLI_USAGE, "with --fleet there is no --lease, --reset, --drain or --force");
	if (find_service(cli, cli->values[OPT_SERVICE], service, error))
		return CLI_FAILED;
	body = json_pack("{s:f, s:b}", "weight", weight / 100.0, "new_salt", cli->values[OPT_NEW_SALT] != NULL);
	return change(cli, service, "/weight", body, error);
}

int fleet_roll_back(const struct cli *cli, struct error *error)
{
	char service[CANARY_NAME_LEN];

	if (cli->values[OPT_RESET])
		return fail(error, CLI_USAGE, "with --fleet there is no --reset");
	if (find_service(cli, cli->argument_count ? cli->arguments[0] : NULL, service, error))
		return CLI_FAILED;
	return change(cli, service, "/rollback", json_object(), error);
}

/* One service of the file. Its weight is the fleet's, unless it is new there. */
static int apply_one(const struct cli *cli, json_t *service, struct error *error)
{
	json_t *body = json_object();
	const char *weight = json_string_value(json_object_get(service, "weight"));
	char name[CANARY_NAME_LEN];
	int hundredths;

	snprintf(name, sizeof(name), "%s", text_of(service, "name"));
	if (weight && !parse_weight(weight, &hundredths))
		json_object_set_new(body, "weight", json_real(hundredths / 100.0));
	json_object_del(service, "weight");
	json_object_set(body, "config", service);
	return change(cli, name, "", body, error);
}

int fleet_apply(const struct cli *cli, const char *file, struct error *error)
{
	json_t *config, *service;
	int code = CLI_DONE;
	size_t i;

	if (cli->values[OPT_DRY_RUN] || cli->values[OPT_FORCE] || cli->values[OPT_MAX_FLOWS])
		return fail(error, CLI_USAGE, "with --fleet there is no --dry-run, --force or --max-flows");
	if (config_load_json(file, &config, error))
		return CLI_FAILED;
	json_array_foreach (json_object_get(config, "services"), i, service) {
		if (code == CLI_DONE)
			code = apply_one(cli, service, error);
	}
	json_decref(config);
	return code;
}

int cmd_fleet_init(const struct cli *cli, struct error *error)
{
	json_t *body = json_object(), *begun;
	const char *text = cli->values[OPT_LEASE];
	unsigned lease;
	int err;

	if (text && parse_duration(text, LEASE_MIN, FLEET_LEASE_MAX, &lease)) {
		json_decref(body);
		return fail(error, CLI_USAGE, "--lease of a fleet is 3s to 10m, not \"%s\"", text);
	}
	if (text)
		json_object_set_new(body, "lease", json_integer(lease));
	err = ask(cli, "POST", "/v1/fleet", body, &begun, error);
	json_decref(body);
	if (err)
		return CLI_FAILED;
	json_decref(begun);
	report(cli, true, NULL, "a fleet is begun: start canaryd on the other hosts, and canaryctl apply --fleet");
	return CLI_DONE;
}

int cmd_fleet_remove(const struct cli *cli, struct error *error)
{
	const char *host = cli->arguments[0];
	char path[256];
	json_t *removed;

	if (!name_is_valid(host))
		return fail(error, CLI_USAGE, "\"%s\" is not a host's name", host);
	snprintf(path, sizeof(path), "/v1/fleet/hosts/%s/remove", host);
	if (ask(cli, "POST", path, NULL, &removed, error))
		return CLI_FAILED;
	json_decref(removed);
	report(cli, true, NULL, "%s is no member of the fleet any more", host);
	return CLI_DONE;
}

static void print_hosts(const struct cli *cli, const json_t *fleet)
{
	struct table table = {};
	const json_t *host, *undone;
	size_t i, j;

	json_array_foreach (json_object_get(fleet, "hosts"), i, host) {
		bool alive = json_is_true(json_object_get(host, "alive"));

		table_left(&table, STYLE_BOLD, "%s", text_of(host, "name"));
		table_left(&table, alive ? STYLE_PLAIN : STYLE_ALARM, "%s", alive ? "alive" : "its lease is over");
		table_left(&table, STYLE_PLAIN, "%s%s", json_is_true(json_object_get(host, "leader")) ? "leader " : "",
			   json_is_true(json_object_get(host, "here")) ? "(here)" : "");
		table_end_row(&table);
		json_array_foreach (json_object_get(host, "undone"), j, undone) {
			table_left(&table, STYLE_PLAIN, "%s", "");
			table_left(&table, STYLE_ALARM, "%s: %s", text_of(undone, "service"),
				   *text_of(undone, "refusal") ? text_of(undone, "refusal") : "not done yet");
			table_left(&table, STYLE_PLAIN, "%s", "");
			table_end_row(&table);
		}
	}
	table_print(&table, cli, 2);
}

static void print_services(const struct cli *cli, const json_t *fleet)
{
	char now[WEIGHT_TEXT_LEN], next[WEIGHT_TEXT_LEN];
	const json_t *service, *coming;
	struct table table = {};
	size_t i;

	json_array_foreach (json_object_get(fleet, "services"), i, service) {
		coming = json_object_get(service, "next_weight");
		table_left(&table, STYLE_BOLD, "%s", text_of(service, "service"));
		table_left(&table, STYLE_PLAIN, "weight %s%s%s",
			   format_weight((int)(number_of(service, "weight") * 100 + 0.5), now),
			   json_is_null(coming) ? "" : " to be ",
			   json_is_null(coming) ? ""
						: format_weight((int)(json_number_value(coming) * 100 + 0.5), next));
		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "phase"));
		table_left(&table, STYLE_PLAIN, "change %lld by %s", (long long)integer_of(service, "change"),
			   text_of(service, "who"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(service, "waits"));
		table_end_row(&table);
	}
	table_print(&table, cli, 2);
}

int cmd_fleet_status(const struct cli *cli, struct error *error)
{
	json_t *fleet;

	if (ask(cli, "GET", "/v1/fleet", NULL, &fleet, error))
		return CLI_FAILED;
	if (cli->json) {
		print_json(fleet);
		return CLI_DONE;
	}
	printf("fleet %s, here %s: %s\n", text_of(fleet, "prefix"), text_of(fleet, "name"),
	       *text_of(fleet, "fault")				 ? text_of(fleet, "fault")
	       : json_is_true(json_object_get(fleet, "cut_off")) ? "cut off from etcd"
								 : text_of(fleet, "connected"));
	print_hosts(cli, fleet);
	print_services(cli, fleet);
	json_decref(fleet);
	return CLI_DONE;
}

/* ---- counters ---- */

static const char *const cohorts[] = {"stable", "canary"};
static const char *const counts[] = {"packets", "flows", "drops", "finished", "failed"};

static void add_row(struct table *table, const char *name, const json_t *counted, enum style style)
{
	for (size_t i = 0; i < sizeof(cohorts) / sizeof(cohorts[0]); i++) {
		const json_t *cohort = json_object_get(json_object_get(counted, "cohorts"), cohorts[i]);

		table_left(table, style, "%s", i ? "" : name);
		table_left(table, STYLE_PLAIN, "%s", cohorts[i]);
		for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++)
			table_right(table, STYLE_PLAIN, "%lld", (long long)integer_of(cohort, counts[j]));
		table_end_row(table);
	}
}

static void print_counters(const struct cli *cli, const json_t *service)
{
	const json_t *sum = json_object_get(service, "sum"), *host;
	struct table table = {};
	size_t i;

	printf("%s, assignment %lld: %lld flows that a move to another host may break\n", text_of(service, "service"),
	       (long long)integer_of(service, "assignment"), (long long)integer_of(sum, "exposed"));
	table_left(&table, STYLE_PLAIN, "%s", "");
	table_left(&table, STYLE_PLAIN, "%s", "");
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		table_right(&table, STYLE_PLAIN, "%s", counts[i]);
	table_end_row(&table);
	json_array_foreach (json_object_get(service, "hosts"), i, host)
		add_row(&table, text_of(host, "name"), host, STYLE_PLAIN);
	add_row(&table, "sum", sum, STYLE_BOLD);
	table_print(&table, cli, 2);
	json_array_foreach (json_object_get(service, "stands_out"), i, host)
		printf("  stands out: %s\n", text_of(host, "text"));
}

int fleet_stats(const struct cli *cli, struct error *error)
{
	const char *name = cli->values[OPT_SERVICE];
	json_t *counters, *service;
	size_t i;

	if (cli->values[OPT_WATCH])
		return fail(error, CLI_USAGE, "with --fleet there is no --watch");
	if (ask(cli, "GET", "/v1/fleet/counters", NULL, &counters, error))
		return CLI_FAILED;
	if (cli->json) {
		print_json(counters);
		return CLI_DONE;
	}
	json_array_foreach (json_object_get(counters, "services"), i, service) {
		if (!name || !strcmp(name, text_of(service, "service")))
			print_counters(cli, service);
	}
	json_decref(counters);
	return CLI_DONE;
}
