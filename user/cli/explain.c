/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl explain */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/change.h"
#include "cli/guard.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/server_id.h"
#include "core/text.h"

struct question {
	struct canary_addr client;
	int client_port;
	int port; /* PORT_DEFAULT: the service's */
	__u8 connection_id[CANARY_CONNECTION_ID_MAX];
	unsigned connection_id_length; /* 0: not given */
	const struct backend_model *named; /* by that; NULL: none */
};

static int parse_question(const struct cli *cli, struct question *ret, struct error *error)
{
	const char *port = cli->values[OPT_PORT], *id = cli->values[OPT_QUIC_ID];
	int code = argument_endpoint(cli->arguments[0], &ret->client, &ret->client_port, error);

	if (code)
		return code;
	if (ret->client_port == PORT_DEFAULT)
		return fail(error, CLI_USAGE, "\"%s\" lacks a port: a flow is CLIENT:PORT", cli->arguments[0]);
	ret->port = PORT_DEFAULT;
	if (port && parse_port(port, &ret->port))
		return fail(error, CLI_USAGE, "--port is 0 to 65535, not \"%s\"", port);
	if (id && parse_bytes(id, sizeof(ret->connection_id), ret->connection_id, &ret->connection_id_length))
		return fail(error, CLI_USAGE, "--quic-id is 1 to %d bytes in hexadecimal, not \"%s\"",
			    CANARY_CONNECTION_ID_MAX, id);
	return 0;
}

/* Whose connection is it, by its id? What is too short for a server id names nobody. */
static int settle_id(struct question *question, const struct service_model *service, struct error *error)
{
	struct canary_server_id id;

	if (!question->connection_id_length)
		return 0;
	if (service->affinity != CANARY_AFFINITY_QUIC)
		return fail(error, -EINVAL,
			    "%s has affinity %s, and only quic goes by connection ids: leave --quic-id out",
			    service->name, affinity_name(service->affinity));
	if (!server_id_of_connection(service, question->connection_id, question->connection_id_length, &id))
		question->named = server_id_find(service, &id);
	return 0;
}

/* What the question leaves open, and what does not fit the service. */
static int settle_question(struct question *question, const struct service_model *service, struct error *error)
{
	if (addr_is_v4(&question->client) != addr_is_v4(&service->addr))
		return fail(error, -EINVAL, "%s has an IPv%c address: no IPv%c client can speak to it", service->name,
			    addr_is_v4(&service->addr) ? '4' : '6', addr_is_v4(&service->addr) ? '6' : '4');
	if (question->port != PORT_DEFAULT && service->port && question->port != service->port)
		return fail(error, -EINVAL, "%s takes port %d only: leave --port out", service->name, service->port);
	if (question->port == PORT_DEFAULT)
		question->port = service->port;
	return settle_id(question, service, error);
}

static json_t *backend_of(const struct service_model *service, __u32 index)
{
	for (size_t i = 0; index && i < service->backend_count; i++) {
		char addr[ADDR_TEXT_LEN];

		if (service->backends[i].index == index)
			return json_pack("{s:s, s:i}", "address", format_addr(&service->backends[i].addr, addr), "port",
					 service->backends[i].port);
	}
	return json_null();
}

static json_t *view_explanation(const struct service_model *service, const struct question *question,
				const struct explanation *explanation)
{
	const char *why = explanation->tracked ? "tracked" : explanation->segment ? "segment" : "weight";
	enum canary_cohort cohort = explanation->tracked ? explanation->tracked_cohort : explanation->cohort;
	__u32 backend = explanation->tracked ? explanation->tracked_backend : explanation->backend;
	char client[ADDR_TEXT_LEN];

	if (question->named) {
		why = "id";
		cohort = question->named->cohort;
		backend = question->named->index;
	}
	return json_pack("{s:o, s:s, s:i, s:I, s:I, s:f, s:s, s:s, s:s, s:I, s:I, s:o, s:b}", "service",
			 json_text(service->name), "client",
			 format_endpoint(&question->client, question->client_port, client), "port", question->port,
			 "bucket", (json_int_t)explanation->bucket, "threshold", (json_int_t)explanation->threshold,
			 "weight", service->weight / 100.0, "wanted", cohort_name(explanation->wanted), "cohort",
			 cohort_name(cohort), "why", why, "slot", (json_int_t)explanation->slot, "ring_size",
			 (json_int_t)explanation->ring_size, "backend", backend_of(service, backend), "tracked",
			 explanation->tracked);
}

static void print_explanation(const struct cli *cli, const json_t *view)
{
	const json_t *backend = json_object_get(view, "backend");
	const char *why = text_of(view, "why"), *wanted = text_of(view, "wanted");
	bool below = integer_of(view, "bucket") < integer_of(view, "threshold");
	bool stopped = json_is_true(json_object_get(view, "stopped"));
	struct table table = {};
	char endpoint[96] = "none: the flow is dropped";

	if (json_is_object(backend))
		endpoint_of(backend, endpoint);
#define ROW(name, ...)                                                                                                 \
	(table_left(&table, STYLE_BOLD, name), table_left(&table, STYLE_PLAIN, __VA_ARGS__), table_end_row(&table))
	ROW("service", "%s", text_of(view, "service"));
	ROW("client", "%s", text_of(view, "client"));
	ROW("bucket", "%lld of 65536, the canary's are those below %lld (%.2f%%)",
	    (long long)integer_of(view, "bucket"), (long long)integer_of(view, "threshold"), number_of(view, "weight"));
	ROW("slot", "%lld of %lld", (long long)integer_of(view, "slot"), (long long)integer_of(view, "ring_size"));
	ROW("cohort", "%s", text_of(view, "cohort"));
	ROW("backend", "%s", endpoint);
	if (*why == 'i')
		ROW("why", "id: the connection id has the backend's server id in it");
	else if (*why == 't')
		ROW("why", "tracked: it has a flow, which stays where it is");
	else if (*why == 's')
		ROW("why", "segment: a prefix that the client is in is pinned to %s", wanted);
	else if (stopped && below)
		ROW("why", "stopped: the bucket is below the threshold, but %s has stopped the canary",
		    guard_stopper(view));
	else
		ROW("why", "weight: the bucket is %s the threshold", below ? "below" : "not below");
	if (*why != 'i' && *why != 't' && strcmp(wanted, text_of(view, "cohort")))
		ROW("overflow", "%s has no backend that takes flows", wanted);
#undef ROW
	table_print(&table, cli, 0);
	guard_print_alarms(cli, view);
}

int cmd_explain(const struct cli *cli, struct error *error)
{
	const char *name = cli->values[OPT_SERVICE];
	const struct service_model *service;
	struct explanation explanation = {};
	struct dataplane *dataplane;
	struct question question;
	struct model model;
	json_t *view;
	int err = parse_question(cli, &question, error);

	if (err)
		return err;
	if (read_running(cli, name, &dataplane, &model, error))
		return CLI_FAILED;
	service = pick_service(&model, name, error);
	err = service ? settle_question(&question, service, error) : -ENOENT;
	if (!err)
		err = dataplane_explain(dataplane, service, &question.client, question.client_port, question.port,
					&explanation, error);
	if (!err) {
		view = view_explanation(service, &question, &explanation);
		err = guard_add(view, dataplane, service, error);
		if (!err && cli->json)
			print_json(json_incref(view));
		else if (!err)
			print_explanation(cli, view);
		json_decref(view);
	}
	model_free(&model);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}
