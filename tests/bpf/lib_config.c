/* SPDX-License-Identifier: Apache-2.0 */
/* From a test's description of services to the running configuration. */
#include "lib_env.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/plan.h"
#include "core/server_id.h"
#include "core/text.h"
#include "core/validate.h"

struct canary_addr make_addr(const char *text)
{
	struct canary_addr addr;

	if (parse_addr(text, &addr))
		fail_msg("not an address: %s", text);
	return addr;
}

static void add_backends(struct service_model *service, enum canary_cohort cohort, const char *list)
{
	char copy[1024], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", list ? list : "");
	while ((word = strsep(&rest, " "))) {
		struct backend_model *backend;
		char *weight, *id;

		if (!*word)
			continue;
		backend = service_add_backend(service);
		assert_non_null(backend);
		backend->cohort = cohort;
		if (*word == '!') {
			backend->draining = true;
			word++;
		}
		id = strchr(word, '#');
		if (id) {
			*id++ = 0;
			assert_int_equal(parse_server_id(id, &backend->server_id, &backend->server_id_length), 0);
		}
		weight = strchr(word, '*');
		if (weight) {
			*weight++ = 0;
			assert_int_equal(parse_unsigned(weight, 1, 1000, &backend->weight), 0);
		}
		if (parse_endpoint(word, &backend->addr, &backend->port))
			fail_msg("not a backend: %s", word);
	}
}

static void add_segments(struct service_model *service, const char *list)
{
	char copy[1024], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", list ? list : "");
	while ((word = strsep(&rest, " "))) {
		struct segment_model *segment;
		char *cohort = strchr(word, '>');

		if (!cohort)
			continue;
		*cohort++ = 0;
		segment = service_add_segment(service);
		assert_non_null(segment);
		assert_int_equal(parse_cohort(cohort, &segment->cohort), 0);
		if (parse_prefix(word, &segment->addr, &segment->prefix_len))
			fail_msg("not a prefix: %s", word);
	}
}

static void add_service(struct model *model, const struct service *from)
{
	struct service_model *service = model_add_service(model);

	assert_non_null(service);
	snprintf(service->name, sizeof(service->name), "%s", from->name);
	if (parse_endpoint(from->endpoint, &service->addr, &service->port))
		fail_msg("not an endpoint: %s", from->endpoint);
	service->proto = from->proto ? from->proto : IPPROTO_TCP;
	service->forward = from->forward;
	service->gue_port = from->gue_port;
	service->affinity = from->affinity;
	service->track = from->track;
	service->overflow = from->overflow;
	service->mss = from->mss;
	service->weight = from->weight;
	service->idle_timeout = from->idle_timeout;
	if (from->id_length) {
		service->id_offset = from->id_offset;
		service->id_length = from->id_length;
	}
	if (from->handshake_timeout)
		service->handshake_timeout = from->handshake_timeout;
	if (from->observe_cap || from->no_observing)
		service->observe_cap = from->observe_cap;
	service->breaker = service->breaker && !from->no_breaker;
	service->lease_default = from->lease;
	service->on_expiry = from->on_expiry;
	add_backends(service, CANARY_STABLE, from->stable);
	add_backends(service, CANARY_CANARY, from->canary);
	add_segments(service, from->segments);
}

static void check_model(struct model *model)
{
	struct problem problem;
	int result = validate_model(model, &problem);

	if (result)
		fail_msg("%s: %s", problem.path, problem.text);
}

/* A canary without backends at a weight above 0 is refused in a file, and comes about by drains and `--force`. */
static void check_model_without_weights(struct model *model)
{
	int *weights = calloc(model->service_count + 1, sizeof(*weights));

	assert_non_null(weights);
	for (size_t i = 0; i < model->service_count; i++) {
		weights[i] = model->services[i].weight;
		model->services[i].weight = 0;
	}
	check_model(model);
	for (size_t i = 0; i < model->service_count; i++)
		model->services[i].weight = weights[i];
	free(weights);
}

static void settle_model(const struct model *actual, struct model *desired)
{
	struct plan plan;

	assert_int_equal(plan_make(actual, desired, &plan), 0);
	plan_free(&plan);
}

void make_model(const struct service *services, size_t count, const struct model *actual, struct model *ret)
{
	*ret = (struct model){};
	for (size_t i = 0; i < count; i++)
		add_service(ret, &services[i]);
	check_model_without_weights(ret);
	settle_model(actual, ret);
}

struct model read_model(void)
{
	struct model model;
	struct error error;

	if (dataplane_read(env.dataplane, NULL, &model, &error))
		fail_msg("%s", error.text);
	return model;
}

static void set_tunnel_sources(void)
{
	struct canary_addr v4 = make_addr("10.0.0.1"), v6 = make_addr("2001:db8:10::1");

	for (size_t i = 0; i < env.model.service_count; i++) {
		const struct service_model *service = &env.model.services[i];

		for (size_t j = 0; service_tunnels(service) && j < service->backend_count; j++)
			dataplane_set_tunnel_source(env.dataplane, service->backends[j].index,
						    addr_is_v4(&service->backends[j].addr) ? &v4 : &v6);
	}
}

void env_refresh(void)
{
	model_free(&env.model);
	env.model = read_model();
	set_tunnel_sources();
}

int try_configure(const struct service *services, size_t count, struct error *error)
{
	struct model actual = read_model(), desired;
	int result;

	make_model(services, count, &actual, &desired);
	result = dataplane_commit(env.dataplane, &actual, &desired, error);
	model_free(&actual);
	model_free(&desired);
	if (!result)
		env_refresh();
	return result;
}

void configure(const struct service *services, size_t count)
{
	struct error error;

	if (try_configure(services, count, &error))
		fail_msg("%s", error.text);
}

void configure_model(const struct model *model)
{
	struct model actual = read_model(), desired;
	struct error error;

	assert_int_equal(model_copy(model, &desired), 0);
	settle_model(&actual, &desired);
	if (dataplane_commit(env.dataplane, &actual, &desired, &error))
		fail_msg("%s", error.text);
	model_free(&actual);
	model_free(&desired);
	env_refresh();
}

void move_all_and_reset(int after)
{
	struct model actual = read_model(), desired;
	struct error error;

	assert_int_equal(model_copy(&actual, &desired), 0);
	for (size_t i = 0; i < desired.service_count; i++) {
		desired.services[i].weight = CANARY_WEIGHT_ONE;
		desired.services[i].reset_after = after;
	}
	if (dataplane_commit(env.dataplane, &actual, &desired, &error))
		fail_msg("%s", error.text);
	model_free(&actual);
	model_free(&desired);
	env_refresh();
	usleep(20000); /* the clock of packets is a coarse one */
}

struct guard guard_of(const char *service)
{
	struct guard guard;

	env_refresh();
	assert_int_equal(dataplane_guard(env.dataplane, find_service(service), &guard), 0);
	return guard;
}

struct guard guard_now(void)
{
	return guard_of("web");
}

struct service_model *find_service(const char *name)
{
	struct service_model *service = model_find_service(&env.model, name);

	if (!service)
		fail_msg("no service %s", name);
	return service;
}

struct backend_model *find_backend(const char *service, const char *endpoint)
{
	struct backend_model *backend;
	struct canary_addr addr;
	int port;

	assert_int_equal(parse_endpoint(endpoint, &addr, &port), 0);
	backend = service_find_backend(find_service(service), &addr, port);
	if (!backend)
		fail_msg("no backend %s in %s", endpoint, service);
	return backend;
}

const struct backend_model *chosen(const char *name, const char *client, int client_port, int port)
{
	const struct service_model *service = find_service(name);
	struct canary_addr addr = make_addr(client);
	struct explanation explanation;
	struct error error;

	if (dataplane_explain(env.dataplane, service, &addr, client_port, port, &explanation, &error))
		fail_msg("%s", error.text);
	for (size_t i = 0; i < service->backend_count; i++)
		if (service->backends[i].index == explanation.backend)
			return &service->backends[i];
	return NULL;
}

int port_for(const char *service, const char *client, const char *endpoint, int from)
{
	const struct backend_model *wanted = find_backend(service, endpoint);

	for (int port = from; port < 65536; port++)
		if (chosen(service, client, port, find_service(service)->port) == wanted)
			return port;
	fail_msg("no flow of %s would go to %s", client, endpoint);
	return 0;
}
