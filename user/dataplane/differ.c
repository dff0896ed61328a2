/* SPDX-License-Identifier: Apache-2.0 */
/* In what two models of the running configuration differ. */
#include <string.h>

#include "dataplane/internal.h"

const struct service_model *find_by_id(const struct model *model, __u32 id)
{
	for (size_t i = 0; id && i < model->service_count; i++)
		if (model->services[i].id == id)
			return &model->services[i];
	return NULL;
}

const struct backend_model *find_by_index(const struct service_model *service, __u32 index)
{
	for (size_t i = 0; service && index && i < service->backend_count; i++)
		if (service->backends[i].index == index)
			return &service->backends[i];
	return NULL;
}

bool backend_differs(const struct backend_model *a, const struct backend_model *b)
{
	return a->index != b->index || a->cohort != b->cohort || a->weight != b->weight || a->draining != b->draining ||
	       a->server_id_length != b->server_id_length || memcmp(&a->server_id, &b->server_id, sizeof(a->server_id));
}

bool backends_differ(const struct service_model *a, const struct service_model *b)
{
	if (a->backend_count != b->backend_count)
		return true;
	for (size_t i = 0; i < a->backend_count; i++)
		if (backend_differs(&a->backends[i], &b->backends[i]))
			return true;
	return false;
}

static bool segments_differ(const struct service_model *a, const struct service_model *b)
{
	if (a->segment_count != b->segment_count)
		return true;
	for (size_t i = 0; i < a->segment_count; i++) {
		const struct segment_model *x = &a->segments[i], *y = &b->segments[i];

		if (!addr_equal(&x->addr, &y->addr) || x->prefix_len != y->prefix_len || x->cohort != y->cohort)
			return true;
	}
	return false;
}

static bool guards_differ(const struct service_model *a, const struct service_model *b)
{
	return a->observe_cap != b->observe_cap || a->handshake_timeout != b->handshake_timeout ||
	       a->breaker != b->breaker || a->breaker_ratio != b->breaker_ratio || a->breaker_arl != b->breaker_arl ||
	       a->lease_default != b->lease_default || a->on_expiry != b->on_expiry;
}

/* Other services have none, whatever their records say. */
static bool id_places_differ(const struct service_model *a, const struct service_model *b)
{
	return b->affinity == CANARY_AFFINITY_QUIC && (a->id_offset != b->id_offset || a->id_length != b->id_length);
}

bool settings_differ(const struct service_model *a, const struct service_model *b)
{
	return a->forward != b->forward || a->gue_port != b->gue_port || a->affinity != b->affinity ||
	       a->track != b->track || a->overflow != b->overflow || a->mss != b->mss ||
	       a->idle_timeout != b->idle_timeout || a->max_window != b->max_window || id_places_differ(a, b) ||
	       guards_differ(a, b) || segments_differ(a, b);
}

bool services_differ(const struct service_model *a, const struct service_model *b)
{
	return a->weight != b->weight || a->salt != b->salt || a->salt_number != b->salt_number ||
	       a->assignment != b->assignment || a->reset_after != b->reset_after || b->begin_stopped ||
	       settings_differ(a, b) || backends_differ(a, b);
}
