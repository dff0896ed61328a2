/* SPDX-License-Identifier: Apache-2.0 */
/* The running configuration, read back from the records in force. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "canary/select.h"
#include "dataplane/internal.h"

#define READ_TRIES 100

static int read_members(const struct dataplane *dataplane, const struct canary_config *config,
			struct service_model *service)
{
	const __u64 *members, *ids;

	if (!config->member_count)
		return 0;
	members = words_at(dataplane, config->members, canary_member_words(config));
	if (!members)
		return -errno;
	ids = members + config->member_count;
	for (__u32 i = 0; i < config->member_count; i++) {
		__u64 member = members[i];
		const struct canary_backend *place = backend_at(dataplane, CANARY_MEMBER_BACKEND(member));
		struct backend_model *backend = service_add_backend(service);

		if (!place || !backend)
			return -ENOMEM;
		backend->addr = place->addr;
		backend->tunnel_source = place->tunnel_source;
		backend->port = ntohs(place->port);
		backend->cohort = member & CANARY_MEMBER_CANARY ? CANARY_CANARY : CANARY_STABLE;
		backend->weight = CANARY_MEMBER_WEIGHT(member);
		backend->draining = member & CANARY_MEMBER_DRAINING;
		backend->index = CANARY_MEMBER_BACKEND(member);
		if (config->affinity == CANARY_AFFINITY_QUIC) {
			memcpy(&backend->server_id, ids + (size_t)i * CANARY_SERVER_ID_WORDS,
			       sizeof(backend->server_id));
			backend->server_id_length = config->id_length;
		}
	}
	return 0;
}

static int read_segments(const struct dataplane *dataplane, const struct canary_config *config,
			 struct service_model *service)
{
	const __u64 *words;

	if (!config->segment_count)
		return 0;
	words = words_at(dataplane, config->segments, config->segment_count * CANARY_SEGMENT_WORDS);
	if (!words)
		return -errno;
	for (__u32 i = 0; i < config->segment_count; i++, words += CANARY_SEGMENT_WORDS) {
		struct segment_model *segment = service_add_segment(service);

		if (!segment)
			return -ENOMEM;
		memcpy(&segment->addr, words, sizeof(segment->addr));
		segment->prefix_len = words[2] & 0xff;
		segment->cohort = words[2] >> 8 & 1;
	}
	return 0;
}

static int reset_after(const struct canary_config *config)
{
	__u64 now_ns = monotonic_ns();

	if (!config->reset_ns)
		return RESET_NEVER;
	return config->reset_ns > now_ns ? (config->reset_ns - now_ns) / 1000000000ULL : 0;
}

static void read_guard(const struct canary_config *config, struct service_model *service)
{
	service->observe_cap = config->cap;
	service->handshake_timeout = config->handshake_timeout;
	service->breaker = config->breaker;
	service->breaker_ratio = config->ratio;
	service->breaker_arl = config->arl;
	service->lease = config->lease;
	service->lease_default = config->lease_default;
	service->on_expiry = config->on_expiry;
}

static int read_service(const struct dataplane *dataplane, __u32 id, __u32 slot, __u64 word, bool members,
			struct service_model *service)
{
	const struct canary_service *state = &dataplane->services[id];
	const struct canary_config *records = records_of(dataplane, id);
	struct canary_config config;
	int result;

	if (!records)
		return -errno;
	config = records[slot];
	memcpy(service->name, state->name, sizeof(service->name));
	service->name[sizeof(service->name) - 1] = 0;
	service->addr = state->key.addr;
	service->port = ntohs(state->key.port);
	service->proto = state->key.proto;
	service->forward = config.forward;
	service->gue_port = ntohs(config.gue_port);
	service->affinity = config.affinity;
	service->track = config.track;
	service->overflow = config.overflow;
	service->mss = config.mss;
	service->id_offset = config.id_offset;
	service->id_length = config.id_length;
	service->weight = config.weight;
	service->id = id;
	service->word = word;
	service->salt = config.salt;
	service->assignment = config.assignment;
	service->salt_number = config.salt_number;
	service->idle_timeout = config.idle_timeout;
	service->max_window = config.max_window;
	service->reset_after = reset_after(&config);
	read_guard(&config, service);
	if (!members)
		return 0;
	result = read_members(dataplane, &config, service);
	if (!result)
		result = read_segments(dataplane, &config, service);
	return result;
}

/* Adds service `id` if it is in force. A change that comes in between is seen by the word, and read again. */
static int add_service(const struct dataplane *dataplane, __u32 id, bool members, struct model *model)
{
	const volatile __u64 *word = &dataplane->services[id].word;

	for (int i = 0; i < READ_TRIES; i++) {
		__u64 before = *word;
		struct service_model *service;
		int result;

		if (!before)
			return 0;
		service = model_add_service(model);
		if (!service)
			return -ENOMEM;
		result = read_service(dataplane, id, canary_word_now(before), before, members, service);
		if (result || *word == before)
			return result;
		model_remove_service(model, service);
	}
	return -EAGAIN;
}

static int read_services(struct dataplane *dataplane, const char *name, bool members, struct model *ret,
			 struct error *error)
{
	struct model model = {};
	int result = 0;

	if (!name && (!all_records(dataplane) || (members && !all_backends(dataplane))))
		result = -errno;
	for (__u32 id = 1; !result && id < CANARY_MAX_SERVICES; id++) {
		const struct canary_service *state = &dataplane->services[id];

		if (!state->word || (name && strncmp(state->name, name, sizeof(state->name))))
			continue;
		result = add_service(dataplane, id, members, &model);
	}
	if (result) {
		model_free(&model);
		return fail(error, result, "cannot read the services: %s", explain_errno(result));
	}
	if (name && !model.service_count)
		return fail(error, -ENOENT, "there is no service %s", name);
	*ret = model;
	return 0;
}

int dataplane_read(struct dataplane *dataplane, const char *name, struct model *ret, struct error *error)
{
	return read_services(dataplane, name, true, ret, error);
}

int dataplane_read_heads(struct dataplane *dataplane, struct model *ret, struct error *error)
{
	return read_services(dataplane, NULL, false, ret, error);
}

int dataplane_read_oldest(struct dataplane *dataplane, const struct service_model *service, struct model *ret,
			  struct error *error)
{
	__u64 word = *(const volatile __u64 *)&dataplane->services[service->id].word;
	struct model model = {};
	struct service_model *oldest;
	int result;

	if (!(word & CANARY_WORD_OPEN))
		return fail(error, -ENOENT, "no window of %s is open", service->name);
	oldest = model_add_service(&model);
	result = oldest ? read_service(dataplane, service->id, canary_word_oldest(word), word, true, oldest) : -ENOMEM;
	if (result) {
		model_free(&model);
		return fail(error, result, "cannot read the older configuration of %s: %s", service->name,
			    explain_errno(result));
	}
	*ret = model;
	return 0;
}
