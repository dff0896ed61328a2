/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl host drain|undrain|routes|check|status */
#include "cli/host.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "core/text.h"
#include "io/bird.h"
#include "ops/host.h"

/* A command's hold on what was asked for: begin, edit `host`, commit, end. */
struct hosting {
	struct instance instance;
	struct host host;
	struct host_routes routes; /* what is announced from then on */
	int lock;
};

static int begin(struct hosting *hosting, const struct cli *cli, struct error *error)
{
	int err;

	*hosting = (struct hosting){.instance = {cli->dir, cli->key_file}, .lock = -1};
	err = host_lock(&hosting->instance, &hosting->lock, error);
	return err ? err : host_load(&hosting->instance, &hosting->host, error);
}

static int announce(struct hosting *hosting, struct error *error)
{
	int err = host_routes_wanted(&hosting->instance, &hosting->host, &hosting->routes, error);

	return err || !hosting->host.routes[0] ? err : host_announce(&hosting->host, &hosting->routes, error);
}

/* On disk before anybody hears of it: where the command is killed in between, the next one goes on from there. */
static int commit(struct hosting *hosting, struct error *error)
{
	int err = host_save(&hosting->instance, &hosting->host, error);

	return err ? err : announce(hosting, error);
}

static void end(struct hosting *hosting)
{
	host_routes_free(&hosting->routes);
	if (hosting->lock >= 0)
		close(hosting->lock);
}

static json_t *view_addrs(const struct host_routes *routes)
{
	json_t *view = json_array();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < routes->count; i++)
		json_array_append_new(view, json_string(format_prefix(&routes->addrs[i], 128, text)));
	return view;
}

static json_t *view_change(const struct hosting *hosting)
{
	return json_pack("{s:b, s:o}", "drained", hosting->host.drained, "routes",
			 hosting->host.routes[0] ? view_addrs(&hosting->routes) : json_null());
}

/* "2 routes announced", as a part of a sentence. */
static const char *describe(const struct hosting *hosting, char buf[128])
{
	size_t count = hosting->routes.count;

	if (!hosting->host.routes[0])
		snprintf(buf, 128, "whoever announces its routes learns it from canaryctl host check");
	else if (hosting->routes.withheld)
		snprintf(buf, 128, "BIRD has none of its routes");
	else
		snprintf(buf, 128, "BIRD has %zu route%s of it", count, count == 1 ? "" : "s");
	return buf;
}

static int set_drained(const struct cli *cli, bool drained, struct error *error)
{
	struct hosting hosting;
	char text[128];
	bool changed = false;
	int err = begin(&hosting, cli, error);

	/* A host that cannot serve must not attract what others could. */
	if (!err && !drained)
		err = host_can_serve(&hosting.instance, error);
	if (!err) {
		changed = hosting.host.drained != drained;
		hosting.host.drained = drained;
		err = commit(&hosting, error);
	}
	if (!err)
		report(cli, changed, view_change(&hosting), "%s%s: %s", changed ? "" : "already ",
		       drained ? "drained" : "in service", describe(&hosting, text));
	end(&hosting);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_host_drain(const struct cli *cli, struct error *error)
{
	return set_drained(cli, true, error);
}

int cmd_host_undrain(const struct cli *cli, struct error *error)
{
	return set_drained(cli, false, error);
}

static int take_path(const char *path, char ret[PATH_MAX], struct error *error)
{
	/* It is another program that opens it, wherever that runs. */
	if (path[0] != '/')
		return fail(error, CLI_USAGE, "\"%s\" is not the whole path of a file, from / on", path);
	if (snprintf(ret, PATH_MAX, "%s", path) >= PATH_MAX)
		return fail(error, CLI_USAGE, "the path of the file is too long");
	return 0;
}

/* The file of before has no route any more, nor has BIRD where there is no other. */
static int leave_routes(const struct hosting *hosting, const struct host *before, struct error *error)
{
	const struct host *host = &hosting->host;
	int err;

	if (!before->routes[0] || !strcmp(before->routes, host->routes))
		return 0;
	err = bird_write_nothing(before->routes, error);
	return err || host->routes[0] ? err : bird_configure(before->bird, error);
}

static int set_routes(const struct cli *cli, const char *file, const char *bird, struct error *error)
{
	struct hosting hosting;
	struct host before;
	char text[128];
	int err = begin(&hosting, cli, error);

	if (!err) {
		before = hosting.host;
		snprintf(hosting.host.routes, sizeof(hosting.host.routes), "%s", file);
		snprintf(hosting.host.bird, sizeof(hosting.host.bird), "%s", bird);
		err = leave_routes(&hosting, &before, error);
	}
	if (!err)
		err = commit(&hosting, error);
	if (!err && !file[0])
		report(cli, before.routes[0], view_change(&hosting), "BIRD has no routes of this host any more");
	else if (!err)
		report(cli, true, view_change(&hosting), "routes are in %s: %s%s%s", file, describe(&hosting, text),
		       hosting.routes.withheld ? ", as " : "", hosting.routes.withheld ? hosting.routes.why.text : "");
	end(&hosting);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_host_routes(const struct cli *cli, struct error *error)
{
	const char *socket = cli->values[OPT_BIRD] ? cli->values[OPT_BIRD] : HOST_DEFAULT_BIRD;
	char file[PATH_MAX] = "", bird[PATH_MAX];
	int err = take_path(socket, bird, error);

	if (!err && strcmp(cli->arguments[0], "none"))
		err = take_path(cli->arguments[0], file, error);
	return err ? err : set_routes(cli, file, bird, error);
}

int cmd_host_check(const struct cli *cli, struct error *error)
{
	const struct instance instance = {cli->dir, cli->key_file};
	struct host host;
	int err = host_load(&instance, &host, error);

	if (!err)
		err = host_may_be_announced(&instance, &host, error);
	if (!err)
		report(cli, false, NULL, "this host may be announced");
	return err ? CLI_FAILED : CLI_DONE;
}

/* {"file", "bird", "wanted", "count", "error"} */
static json_t *view_routes(const struct host *host, const struct host_routes *routes)
{
	struct error error;
	unsigned count;
	int err = bird_count_routes(host->bird, &count, &error);

	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "file", json_text(host->routes), "bird", json_text(host->bird),
			 "wanted", view_addrs(routes), "count", err ? json_null() : json_integer(count), "error",
			 err ? json_text(error.text) : json_null());
}

static void print_status(const json_t *status)
{
	const json_t *why = json_object_get(status, "why"), *routes = json_object_get(status, "routes"), *wanted,
		     *unheard;
	json_t *route;
	size_t i;

	puts(json_is_null(why) ? "in service" : json_string_value(why));
	if (json_is_null(routes)) {
		puts("routes are announced by others: see canaryctl help host check");
		return;
	}
	wanted = json_object_get(routes, "wanted");
	unheard = json_object_get(routes, "error");
	printf("routes in %s, for BIRD at %s", json_string_value(json_object_get(routes, "file")),
	       json_string_value(json_object_get(routes, "bird")));
	json_array_foreach (wanted, i, route)
		printf("%s %s", i ? "," : ":", json_string_value(route));
	putchar('\n');
	if (json_is_null(unheard))
		printf("BIRD has %lld of %zu\n", (long long)json_integer_value(json_object_get(routes, "count")),
		       json_array_size(wanted));
	else
		puts(json_string_value(unheard));
}

int cmd_host_status(const struct cli *cli, struct error *error)
{
	const struct instance instance = {cli->dir, cli->key_file};
	struct host_routes routes = {};
	struct host host;
	json_t *status;
	int err = host_load(&instance, &host, error);

	if (!err)
		err = host_routes_wanted(&instance, &host, &routes, error);
	if (err)
		return CLI_FAILED;
	status = json_pack("{s:b, s:b, s:o, s:o}", "drained", host.drained, "may_be_announced", !routes.withheld, "why",
			   routes.withheld ? json_text(routes.why.text) : json_null(), "routes",
			   host.routes[0] ? view_routes(&host, &routes) : json_null());
	if (cli->json)
		print_json(json_incref(status));
	else
		print_status(status);
	json_decref(status);
	host_routes_free(&routes);
	return CLI_DONE;
}

/* Most hosts are not asked for: then nothing is locked. */
static bool is_announced(const struct cli *cli)
{
	const struct instance instance = {cli->dir, cli->key_file};
	struct error error;
	struct host host;
	int err = host_load(&instance, &host, &error);

	if (err)
		print_warning(cli, "%s", error.text);
	return !err && host.routes[0];
}

void host_follow(const struct cli *cli)
{
	struct hosting hosting;
	struct error error;

	if (!is_announced(cli))
		return;
	if (begin(&hosting, cli, &error) || announce(&hosting, &error))
		print_warning(cli, "routes: %s", error.text);
	end(&hosting);
}

void host_withdraw(const struct cli *cli)
{
	struct hosting hosting;
	struct error error;

	if (!is_announced(cli))
		return;
	if (begin(&hosting, cli, &error) || host_announce(&hosting.host, &hosting.routes, &error))
		print_warning(cli, "routes: %s", error.text);
	end(&hosting);
}
