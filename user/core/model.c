/* SPDX-License-Identifier: Apache-2.0 */
#include "core/model.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/fleet_settings.h"
#include "core/health_plan.h"
#include "core/rollout_plan.h"

/*
 * Arrays grow by doubling, and their capacity is not stored: it is always at least the smallest power of two that the
 * count fits in. So a full array is one whose count is a power of two (or 0); removals keep that true.
 */
static void *array_grow(void *items, size_t count, size_t size)
{
	if (count & (count - 1))
		return items;
	return reallocarray(items, count ? 2 * count : 1, size);
}

/* A copy with room as array_grow() expects it; of NULL, the room alone. */
static void *array_copy(const void *items, size_t count, size_t size)
{
	size_t capacity = 1;
	void *copy;

	while (capacity < count)
		capacity *= 2;
	copy = reallocarray(NULL, capacity, size);
	if (copy && items)
		memcpy(copy, items, count * size);
	return copy;
}

static void array_remove(void *array, size_t *count, size_t size, void *item)
{
	char *next = (char *)item + size;

	memmove(item, next, (size_t)((char *)array + *count * size - next));
	--*count;
}

static void service_free(struct service_model *service)
{
	free(service->backends);
	free(service->segments);
	free(service->rollout);
	free(service->health);
}

void model_free(struct model *model)
{
	for (size_t i = 0; i < model->service_count; i++)
		service_free(&model->services[i]);
	free(model->services);
	free(model->fleet);
	*model = (struct model){};
}

/* Of NULL, NULL; *ok turns false without memory. */
static void *part_copy(const void *part, size_t size, bool *ok)
{
	void *copy = part ? malloc(size) : NULL;

	if (copy)
		memcpy(copy, part, size);
	*ok &= copy || !part;
	return copy;
}

static int service_copy(const struct service_model *service, struct service_model *ret)
{
	struct service_model copy = *service;
	bool ok = true;

	copy.backends = array_copy(service->backends, service->backend_count, sizeof(*copy.backends));
	copy.segments = array_copy(service->segments, service->segment_count, sizeof(*copy.segments));
	copy.rollout = part_copy(service->rollout, sizeof(*copy.rollout), &ok);
	copy.health = part_copy(service->health, sizeof(*copy.health), &ok);
	if (!copy.backends || !copy.segments || !ok) {
		service_free(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int model_copy(const struct model *model, struct model *ret)
{
	bool ok = true;
	struct model copy = {
		.services = array_copy(NULL, model->service_count, sizeof(*copy.services)),
		.fleet = part_copy(model->fleet, sizeof(*copy.fleet), &ok),
	};

	if (!copy.services || !ok) {
		model_free(&copy);
		return -ENOMEM;
	}
	/* The count follows, so that model_free() sees no more than what was copied in depth. */
	for (; copy.service_count < model->service_count; copy.service_count++) {
		size_t i = copy.service_count;

		if (service_copy(&model->services[i], &copy.services[i]) < 0) {
			model_free(&copy);
			return -ENOMEM;
		}
	}
	*ret = copy;
	return 0;
}

struct service_model service_defaults(void)
{
	return (struct service_model){
		.weight = WEIGHT_KEEP,
		.reset_after = RESET_NEVER,
		.id_offset = ID_OFFSET,
		.id_length = ID_LENGTH,
		.observe_cap = OBSERVE_CAP,
		.handshake_timeout = HANDSHAKE_TIMEOUT,
		.breaker = true,
		.breaker_ratio = BREAKER_RATIO,
		.breaker_arl = BREAKER_ARL,
		.lease = LEASE_UNSET,
	};
}

struct service_model *model_add_service(struct model *model)
{
	struct service_model *services = array_grow(model->services, model->service_count, sizeof(*services));

	if (!services)
		return NULL;
	model->services = services;
	services += model->service_count++;
	*services = service_defaults();
	return services;
}

struct backend_model *service_add_backend(struct service_model *service)
{
	struct backend_model *backends = array_grow(service->backends, service->backend_count, sizeof(*backends));

	if (!backends)
		return NULL;
	service->backends = backends;
	backends += service->backend_count++;
	*backends = (struct backend_model){.port = PORT_DEFAULT, .weight = 1};
	return backends;
}

struct segment_model *service_add_segment(struct service_model *service)
{
	struct segment_model *segments = array_grow(service->segments, service->segment_count, sizeof(*segments));

	if (!segments)
		return NULL;
	service->segments = segments;
	segments += service->segment_count++;
	*segments = (struct segment_model){};
	return segments;
}

void model_remove_service(struct model *model, struct service_model *service)
{
	service_free(service);
	array_remove(model->services, &model->service_count, sizeof(*service), service);
}

void service_remove_backend(struct service_model *service, struct backend_model *backend)
{
	array_remove(service->backends, &service->backend_count, sizeof(*backend), backend);
}

void service_remove_segment(struct service_model *service, struct segment_model *segment)
{
	array_remove(service->segments, &service->segment_count, sizeof(*segment), segment);
}

struct service_model *model_find_service(const struct model *model, const char *name)
{
	for (size_t i = 0; i < model->service_count; i++) {
		if (!strcmp(model->services[i].name, name))
			return &model->services[i];
	}
	return NULL;
}

struct service_model *model_find_same(const struct model *model, const struct service_model *service)
{
	struct service_model *same = model_find_service(model, service->name);

	return same && addr_equal(&same->addr, &service->addr) && same->proto == service->proto &&
			       same->port == service->port
		       ? same
		       : NULL;
}

struct backend_model *service_find_backend(const struct service_model *service, const struct canary_addr *addr,
					   int port)
{
	int wanted = port == PORT_DEFAULT ? service->port : port;

	for (size_t i = 0; i < service->backend_count; i++) {
		struct backend_model *backend = &service->backends[i];
		int its = backend->port == PORT_DEFAULT ? service->port : backend->port;

		if (its == wanted && addr_equal(&backend->addr, addr))
			return backend;
	}
	return NULL;
}

struct segment_model *service_find_segment(const struct service_model *service, const struct canary_addr *addr,
					   unsigned prefix_len)
{
	for (size_t i = 0; i < service->segment_count; i++) {
		struct segment_model *segment = &service->segments[i];

		if (segment->prefix_len == prefix_len && addr_equal(&segment->addr, addr))
			return segment;
	}
	return NULL;
}

int backend_compare(const void *a, const void *b)
{
	const struct backend_model *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return order ? order : x->port - y->port;
}

int segment_compare(const void *a, const void *b)
{
	const struct segment_model *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return order ? order : (int)x->prefix_len - (int)y->prefix_len;
}

unsigned service_idle_timeout(const struct service_model *service)
{
	if (service->idle_timeout)
		return service->idle_timeout;
	return service->proto == IPPROTO_UDP ? IDLE_TIMEOUT_UDP : IDLE_TIMEOUT_TCP;
}

unsigned service_max_window(const struct service_model *service)
{
	return service->max_window ? service->max_window : MAX_WINDOW;
}

int service_gue_port(const struct service_model *service)
{
	if (service->forward != CANARY_FORWARD_GUE)
		return 0;
	return service->gue_port ? service->gue_port : GUE_PORT;
}

bool service_tunnels(const struct service_model *service)
{
	return service->forward == CANARY_FORWARD_IPIP || service->forward == CANARY_FORWARD_GUE;
}

unsigned service_overhead(const struct service_model *service, const struct backend_model *backend)
{
	enum { IPV4 = 20, IPV6 = 40, GUE = 8 + 4 }; /* GUE: the headers of UDP, and its own */

	if (!service_tunnels(service))
		return 0;
	return (addr_is_v4(&backend->addr) ? IPV4 : IPV6) + (service->forward == CANARY_FORWARD_GUE ? GUE : 0);
}

unsigned service_default_lease(const struct service_model *service)
{
	return service->weight ? service->lease_default : 0;
}

size_t service_backends_up(const struct service_model *service, enum canary_cohort cohort)
{
	size_t up = 0;

	for (size_t i = 0; i < service->backend_count; i++)
		up += service->backends[i].cohort == cohort && !service->backends[i].draining;
	return up;
}

bool addr_is_v4(const struct canary_addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == htonl(0xffff);
}

bool addr_equal(const struct canary_addr *a, const struct canary_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool addr_shares_prefix(const struct canary_addr *a, const struct canary_addr *b, unsigned prefix_len)
{
	for (unsigned i = 0; i < 4 && prefix_len > 32 * i; i++) {
		unsigned len = prefix_len - 32 * i < 32 ? prefix_len - 32 * i : 32;

		if (ntohl(a->word[i] ^ b->word[i]) >> (32 - len))
			return false;
	}
	return true;
}

bool prefix_is_clean(const struct canary_addr *addr, unsigned prefix_len)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned len = prefix_len < 32 * i ? 0 : prefix_len - 32 * i;

		if (len < 32 && ntohl(addr->word[i]) & 0xffffffffU >> len)
			return false;
	}
	return true;
}
