/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl flows list|count|flush */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/flows.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/text.h"

#define NSEC_PER_SEC 1000000000ULL

/* Which flows are meant: those of a service and a backend that are listed here, and of the cohort. */
struct selection {
	const struct service_model *services[CANARY_MAX_SERVICES]; /* by id */
	const struct backend_model *backends[CANARY_MAX_BACKENDS]; /* by index */
	bool one_cohort;
	enum canary_cohort cohort;
};

/* The options. */
struct filter {
	bool backend;
	struct canary_addr addr;
	int port; /* PORT_DEFAULT: any */
	bool one_cohort;
	enum canary_cohort cohort;
};

struct collected {
	const struct selection *selection;
	struct flow *items;
	size_t count, capacity;
};

static int parse_filter(const struct cli *cli, struct filter *ret, struct error *error)
{
	const char *backend = cli->values[OPT_BACKEND], *cohort = cli->values[OPT_COHORT];

	if (cohort && !strcmp(cohort, "all"))
		cohort = NULL;
	*ret = (struct filter){.backend = backend, .one_cohort = cohort};
	if (backend && argument_endpoint(backend, &ret->addr, &ret->port, error))
		return CLI_USAGE;
	return cohort ? argument_cohort(cohort, &ret->cohort, error) : 0;
}

static bool is_wanted(const struct backend_model *backend, const struct filter *filter)
{
	return !filter->backend || (addr_equal(&backend->addr, &filter->addr) &&
				    (filter->port == PORT_DEFAULT || filter->port == backend->port));
}

/* 0, or -ENOENT: no service of the model has such a backend. */
static int select_flows(const struct cli *cli, const struct filter *filter, const struct model *model,
			struct selection *ret, struct error *error)
{
	bool found = false;

	ret->one_cohort = filter->one_cohort;
	ret->cohort = filter->cohort;
	for (size_t i = 0; i < model->service_count; i++) {
		const struct service_model *service = &model->services[i];

		ret->services[service->id % CANARY_MAX_SERVICES] = service;
		for (size_t j = 0; j < service->backend_count; j++) {
			const struct backend_model *backend = &service->backends[j];

			if (!is_wanted(backend, filter))
				continue;
			ret->backends[backend->index % CANARY_MAX_BACKENDS] = backend;
			found = true;
		}
	}
	if (!filter->backend || found)
		return 0;
	if (cli->values[OPT_SERVICE])
		return fail(error, -ENOENT, "%s has no backend %s: see canaryctl backend list %s",
			    cli->values[OPT_SERVICE], cli->values[OPT_BACKEND], cli->values[OPT_SERVICE]);
	return fail(error, -ENOENT, "no service has a backend %s: see canaryctl backend list",
		    cli->values[OPT_BACKEND]);
}

static bool is_selected(const struct flow *flow, void *arg)
{
	const struct selection *selection = arg;

	return flow->service < CANARY_MAX_SERVICES && selection->services[flow->service] &&
	       flow->backend < CANARY_MAX_BACKENDS && selection->backends[flow->backend] &&
	       (!selection->one_cohort || flow->cohort == selection->cohort);
}

static int collect(const struct flow *flow, void *arg)
{
	struct collected *collected = arg;

	if (!is_selected(flow, (void *)collected->selection))
		return 0;
	if (collected->count == collected->capacity) {
		collected->capacity = collected->capacity ? collected->capacity * 2 : 256;
		collected->items = must(realloc(collected->items, collected->capacity * sizeof(*collected->items)));
	}
	collected->items[collected->count++] = *flow;
	return 0;
}

static int walk_error(int err, struct error *error)
{
	return fail(error, err, "cannot read the flows: %s", strerror(-err));
}

/* What list and count do alike: reads the selected flows, and renders them with `view` and `print`. */
static int show_flows(const struct cli *cli, json_t *(*view)(const struct model *, const struct collected *),
		      void (*print)(const struct cli *, const json_t *), struct error *error)
{
	struct selection *selection = must(calloc(1, sizeof(*selection)));
	struct collected collected = {.selection = selection};
	struct dataplane *dataplane = NULL;
	struct model model = {};
	struct filter filter;
	json_t *tree;
	int err = parse_filter(cli, &filter, error);

	if (err) {
		free(selection);
		return err;
	}
	err = read_running(cli, cli->values[OPT_SERVICE], &dataplane, &model, error);
	if (!err)
		err = select_flows(cli, &filter, &model, selection, error);
	if (!err && dataplane) {
		err = dataplane_flows(dataplane, collect, &collected);
		if (err)
			walk_error(err, error);
	}
	if (!err) {
		tree = view(&model, &collected);
		if (cli->json)
			print_json(json_incref(tree));
		else
			print(cli, tree);
		json_decref(tree);
	}
	free(collected.items);
	free(selection);
	model_free(&model);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}

/* By service, client and ports. */
static int compare_flows(const void *a, const void *b)
{
	const struct flow *x = a, *y = b;
	int order = (x->service > y->service) - (x->service < y->service);

	if (!order)
		order = memcmp(&x->client, &y->client, sizeof(x->client));
	if (!order)
		order = x->client_port - y->client_port;
	return order ? order : x->port - y->port;
}

static json_t *view_flow(const struct selection *selection, const struct flow *flow)
{
	const struct backend_model *backend = selection->backends[flow->backend];
	char client[ADDR_TEXT_LEN], addr[ADDR_TEXT_LEN];

	return json_pack("{s:o, s:s, s:i, s:i, s:s, s:{s:s, s:i}, s:I}", "service",
			 json_text(selection->services[flow->service]->name), "client",
			 format_addr(&flow->client, client), "client_port", flow->client_port, "port", flow->port,
			 "cohort", cohort_name(flow->cohort), "backend", "address", format_addr(&backend->addr, addr),
			 "port", backend->port, "idle", (json_int_t)(flow->idle_ns / NSEC_PER_SEC));
}

static json_t *view_list(const struct model *model, const struct collected *collected)
{
	json_t *flows = json_array();

	(void)model;
	if (collected->count)
		qsort(collected->items, collected->count, sizeof(*collected->items), compare_flows);
	for (size_t i = 0; i < collected->count; i++)
		json_array_append_new(flows, view_flow(collected->selection, &collected->items[i]));
	return json_pack("{s:o}", "flows", flows);
}

static void print_list(const struct cli *cli, const json_t *tree)
{
	static const char *const heads[] = {"SERVICE", "CLIENT", "PORT", "COHORT", "BACKEND", "IDLE"};
	const json_t *flows = json_object_get(tree, "flows");
	struct table table = {};
	json_t *flow;
	size_t i;

	if (!json_array_size(flows)) {
		puts("no flows are remembered");
		return;
	}
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		if (i == 2 || i == 5)
			table_right(&table, STYLE_BOLD, "%s", heads[i]);
		else
			table_left(&table, STYLE_BOLD, "%s", heads[i]);
	}
	table_end_row(&table);
	json_array_foreach (flows, i, flow) {
		const char *client = text_of(flow, "client");
		char endpoint[96], idle[DURATION_TEXT_LEN];

		table_left(&table, STYLE_PLAIN, "%s", text_of(flow, "service"));
		table_left(&table, STYLE_PLAIN, strchr(client, ':') ? "[%s]:%lld" : "%s:%lld", client,
			   (long long)integer_of(flow, "client_port"));
		table_right(&table, STYLE_PLAIN, "%lld", (long long)integer_of(flow, "port"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(flow, "cohort"));
		table_left(&table, STYLE_PLAIN, "%s", endpoint_of(json_object_get(flow, "backend"), endpoint));
		table_right(&table, STYLE_PLAIN, "%s", format_duration((unsigned)integer_of(flow, "idle"), idle));
		table_end_row(&table);
	}
	table_print(&table, cli, 0);
}

int cmd_flows_list(const struct cli *cli, struct error *error)
{
	return show_flows(cli, view_list, print_list, error);
}

static json_t *view_count(const struct model *model, const struct collected *collected)
{
	unsigned *counts = must(calloc(CANARY_MAX_BACKENDS, sizeof(*counts)));
	const struct selection *selection = collected->selection;
	json_t *backends = json_array();

	for (size_t i = 0; i < collected->count; i++)
		counts[collected->items[i].backend]++;
	for (size_t i = 0; i < model->service_count; i++) {
		for (size_t j = 0; j < model->services[i].backend_count; j++) {
			const struct backend_model *backend = &model->services[i].backends[j];
			json_t *row, *rest;

			if (!selection->backends[backend->index] ||
			    (selection->one_cohort && backend->cohort != selection->cohort && !counts[backend->index]))
				continue;
			row = json_pack("{s:o}", "service", json_text(model->services[i].name));
			rest = view_backend(backend);
			json_object_update(row, rest);
			json_decref(rest);
			json_object_set_new(row, "flows", json_integer(counts[backend->index]));
			json_array_append_new(backends, row);
		}
	}
	free(counts);
	return json_pack("{s:I, s:o}", "flows", (json_int_t)collected->count, "backends", backends);
}

static void print_count(const struct cli *cli, const json_t *tree)
{
	const json_t *backends = json_object_get(tree, "backends");
	struct table table = {};
	json_t *backend;
	size_t i;

	json_array_foreach (backends, i, backend) {
		char endpoint[96];

		table_left(&table, STYLE_PLAIN, "%s", text_of(backend, "service"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(backend, "cohort"));
		table_left(&table, STYLE_PLAIN, "%s", endpoint_of(backend, endpoint));
		table_left(&table, STYLE_PLAIN, "%s", text_of(backend, "state"));
		table_right(&table, STYLE_PLAIN, "%lld", (long long)integer_of(backend, "flows"));
		table_end_row(&table);
	}
	table_print(&table, cli, 0);
	printf("remembered flows: %lld\n", (long long)integer_of(tree, "flows"));
}

int cmd_flows_count(const struct cli *cli, struct error *error)
{
	return show_flows(cli, view_count, print_count, error);
}

static long flush(const struct cli *cli, const struct filter *filter, struct error *error)
{
	struct selection *selection = must(calloc(1, sizeof(*selection)));
	struct change change;
	long flushed = change_begin(&change, cli, DATAPLANE_CHANGE, cli->values[OPT_SERVICE], error);

	/* Where nothing is, nothing is remembered. */
	if (flushed == -ENOENT && !cli->values[OPT_SERVICE])
		flushed = 0;
	if (!flushed)
		flushed = select_flows(cli, filter, &change.actual, selection, error);
	if (!flushed && change.dataplane) {
		flushed = dataplane_flush_flows(change.dataplane, is_selected, selection);
		if (flushed < 0)
			walk_error((int)flushed, error);
	}
	change_end(&change);
	free(selection);
	return flushed;
}

int cmd_flows_flush(const struct cli *cli, struct error *error)
{
	struct filter filter;
	long flushed;

	if (parse_filter(cli, &filter, error))
		return CLI_USAGE;
	flushed = flush(cli, &filter, error);
	if (flushed < 0)
		return CLI_FAILED;
	report(cli, flushed > 0, json_pack("{s:I}", "flushed", (json_int_t)flushed),
	       "flushed flows: %ld; the next packet of each is chosen for anew", flushed);
	return CLI_DONE;
}

static bool any_draining(const struct model *model)
{
	for (size_t i = 0; i < model->service_count; i++)
		for (size_t j = 0; j < model->services[i].backend_count; j++)
			if (model->services[i].backends[j].draining)
				return true;
	return false;
}

static int count_flow(const struct flow *flow, void *arg)
{
	unsigned *counts = arg;

	if (flow->backend < CANARY_MAX_BACKENDS)
		counts[flow->backend]++;
	return 0;
}

int flows_of_draining(struct dataplane *dataplane, const struct model *model, unsigned **ret, struct error *error)
{
	unsigned *counts = NULL;
	int err;

	*ret = NULL;
	if (any_draining(model)) {
		counts = must(calloc(CANARY_MAX_BACKENDS, sizeof(*counts)));
		err = dataplane_flows(dataplane, count_flow, counts);
		if (err) {
			free(counts);
			return walk_error(err, error);
		}
	}
	*ret = counts;
	return 0;
}

json_t *view_backend_flows(const struct backend_model *backend, const unsigned *flows)
{
	json_t *view = view_backend(backend);

	if (backend->draining)
		json_object_set_new(view, "flows", json_integer(flows[backend->index]));
	return view;
}

const char *state_of(const json_t *backend, char buf[64])
{
	const json_t *flows = json_object_get(backend, "flows");

	snprintf(buf, 64, flows ? "%s, %lld flows" : "%s", text_of(backend, "state"),
		 (long long)json_integer_value(flows));
	return buf;
}
