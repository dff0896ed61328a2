/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_change.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "core/validate.h"
#include "lib_mutate.h"

static const struct {
	const char *addr;
	unsigned prefix_len;
	enum canary_cohort cohort;
} prefixes[] = {
	{"198.51.100.0", 27, CANARY_CANARY},
	{"198.51.100.8", 29, CANARY_STABLE},
	{"198.51.100.48", 28, CANARY_STABLE},
};

const char *host_text(unsigned host, char ret[HOST_TEXT])
{
	snprintf(ret, HOST_TEXT, "10.0.0.%u", host);
	return ret;
}

static unsigned host_of(const struct backend_model *backend)
{
	return ntohl(backend->addr.word[3]) & 0xff;
}

const struct backend_model *backend_at(const struct service_model *service, unsigned host)
{
	for (size_t i = 0; i < service->backend_count; i++)
		if (host_of(&service->backends[i]) == host)
			return &service->backends[i];
	return NULL;
}

static void assign_weight(struct service_model *service, int weight)
{
	service->weight = weight;
	service->assignment++;
}

static void set_weight(struct service_model *service)
{
	static const int weights[] = {0, 0, 500, 2000, 5000, 10000};

	assign_weight(service, weights[random_below(sizeof(weights) / sizeof(*weights))]);
}

static void draw_anew(struct service_model *service)
{
	assign_weight(service, 3000);
	service->salt_number++;
	service->salt = 0;
}

static struct backend_model *any_backend(struct service_model *service)
{
	return &service->backends[random_below(service->backend_count)];
}

/* May the backend go? Not the last of its cohort. */
static bool spared(const struct service_model *service, const struct backend_model *backend)
{
	return backend->draining || service_backends_up(service, backend->cohort) > 1;
}

static void weigh_backend(struct service_model *service)
{
	any_backend(service)->weight = 1 + random_below(4);
}

static void drain_backend(struct service_model *service)
{
	struct backend_model *backend = any_backend(service);

	if (spared(service, backend))
		backend->draining = true;
}

static void undrain_backend(struct service_model *service)
{
	any_backend(service)->draining = false;
}

static void delete_backend(struct service_model *service)
{
	struct backend_model *backend = any_backend(service);

	if (spared(service, backend))
		service_remove_backend(service, backend);
}

static void add_backend(struct service_model *service)
{
	bool canary = random_below(2);
	unsigned host = (canary ? FIRST_CANARY : FIRST_STABLE) + random_below(HOSTS);
	struct backend_model *backend;
	char addr[HOST_TEXT];

	if (backend_at(service, host))
		return;
	backend = service_add_backend(service);
	assert_non_null(backend);
	backend->addr = make_addr(host_text(host, addr));
	backend->port = service->port;
	backend->cohort = canary ? CANARY_CANARY : CANARY_STABLE;
}

/* Adds it, or removes it. */
static void toggle_segment(struct service_model *service)
{
	unsigned which = random_below(sizeof(prefixes) / sizeof(*prefixes));
	struct segment_model wanted = {.addr = make_addr(prefixes[which].addr),
				       .prefix_len = 96 + prefixes[which].prefix_len,
				       .cohort = prefixes[which].cohort};
	struct segment_model *segment = service_find_segment(service, &wanted.addr, wanted.prefix_len);

	if (segment) {
		service_remove_segment(service, segment);
		return;
	}
	segment = service_add_segment(service);
	assert_non_null(segment);
	*segment = wanted;
}

static void set_half(struct service_model *service)
{
	assign_weight(service, 5000);
}

typedef void edit(struct service_model *service);
static edit *const edits[] = {set_weight,      set_weight,     draw_anew,   weigh_backend, drain_backend,
			      undrain_backend, delete_backend, add_backend, add_backend,   toggle_segment};

static void change_service(const char *service, edit *edit)
{
	struct model actual = read_model(), desired;
	struct problem problem;
	struct error error;

	assert_int_equal(model_copy(&actual, &desired), 0);
	edit(model_find_service(&desired, service));
	if (validate_running(&desired, &problem))
		fail_msg("%s: %s", service, problem.text);
	if (dataplane_commit(env.dataplane, &actual, &desired, &error))
		fail_msg("%s: %s", service, error.text);
	model_free(&actual);
	model_free(&desired);
	env_refresh();
}

void change_at_random(const char *service)
{
	change_service(service, edits[random_below(sizeof(edits) / sizeof(*edits))]);
}

void change_to_half(const char *service)
{
	change_service(service, set_half);
}

void change_all_weights(bool reset)
{
	struct model actual = read_model(), desired;
	struct error error;

	assert_int_equal(model_copy(&actual, &desired), 0);
	for (size_t i = 0; i < desired.service_count; i++) {
		desired.services[i].weight = random_below(CANARY_WEIGHT_ONE + 1);
		desired.services[i].reset_after = reset ? 0 : RESET_NEVER;
	}
	if (dataplane_commit(env.dataplane, &actual, &desired, &error))
		fail_msg("%s", error.text);
	model_free(&actual);
	model_free(&desired);
	env_refresh();
}
