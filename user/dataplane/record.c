/* SPDX-License-Identifier: Apache-2.0 */
/* From a service's model to the immutable record that the kernel reads: members, rings, segments. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "canary/select.h"
#include "core/maglev.h"
#include "core/server_id.h"
#include "core/text.h"
#include "dataplane/internal.h"

static int no_room(struct error *error, int result, const struct service_model *service, const char *what)
{
	if (result != -ENOSPC)
		return fail(error, result, "%s: cannot see what room is left for its %s: %s", service->name, what,
			    explain_errno(result));
	return fail(error, -ENOSPC, "%s: no room is left for its %s: nothing was changed", service->name, what);
}

int record_zero_service(const struct dataplane *dataplane, __u32 service)
{
	int result = 0;

	for (__u32 cohort = 0; !result && cohort < CANARY_COHORTS; cohort++)
		result = counters_zero(dataplane, MAP_cohort_counters, service * CANARY_COHORTS + cohort,
				       sizeof(struct canary_cohort_counters));
	return result;
}

/* Gives the backends that are new an index of their own. No packet reads it before the commit. */
static int place_backends(struct dataplane *dataplane, struct occupied *occupied, struct service_model *service,
			  struct error *error)
{
	for (size_t i = 0; i < service->backend_count; i++) {
		struct backend_model *backend = &service->backends[i];
		struct canary_backend *place;
		__u32 index;
		int result;

		if (backend->index)
			continue;
		result = occupied_take_backend(occupied, &index);
		if (result)
			return no_room(error, result, service, "backends");
		place = backend_at(dataplane, index);
		if (!place)
			return fail(error, -errno, "cannot map the backends: %s", explain_errno(errno));
		*place = (struct canary_backend){.addr = backend->addr,
						 .tunnel_source = backend->tunnel_source,
						 .port = htons(backend->port),
						 .flags = CANARY_BACKEND_LIVE,
						 .service = service->id,
						 .generation = place->generation + 1};
		if (counters_zero(dataplane, MAP_backend_counters, index, sizeof(struct canary_backend_counters)))
			return no_room(error, -ENOSPC, service, "backends' counters");
		backend->index = index;
	}
	return 0;
}

static int write_members(struct dataplane *dataplane, struct occupied *occupied, const struct service_model *service,
			 struct canary_config *config, struct error *error)
{
	__u64 *words;

	config->member_count = service->backend_count;
	if (!config->member_count)
		return 0;
	words = occupied_take_words(occupied, canary_member_words(config), &config->members);
	if (!words)
		return no_room(error, -errno, service, "list of backends");
	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		words[i] = backend->index | (__u64)backend->weight << 16 |
			   (backend->cohort == CANARY_CANARY ? CANARY_MEMBER_CANARY : 0) |
			   (backend->draining ? CANARY_MEMBER_DRAINING : 0);
	}
	if (config->affinity == CANARY_AFFINITY_QUIC &&
	    server_id_table(service, &dataplane->settings->keys, words + config->member_count))
		return fail(error, -ENOSPC,
			    "%s: the table of its backends' server ids has no room for these: give "
			    "some other ones",
			    service->name);
	return 0;
}

/* Is the list of backends the same, with what else is written beside it? */
static bool same_list(const struct service_model *a, const struct service_model *b)
{
	return !backends_differ(a, b) && a->affinity == b->affinity && a->id_length == b->id_length;
}

/* Do both list the same backends of a cohort with the same weights? Then the ring is the same as well. */
static bool same_members(const struct service_model *a, const struct service_model *b, enum canary_cohort cohort)
{
	if (service_backends_up(a, cohort) != service_backends_up(b, cohort))
		return false;
	for (size_t i = 0; i < a->backend_count; i++) {
		const struct backend_model *mine = &a->backends[i];
		const struct backend_model *other;

		if (mine->cohort != cohort || mine->draining)
			continue;
		other = service_find_backend(b, &mine->addr, mine->port);
		if (!other || other->cohort != cohort || other->draining || other->weight != mine->weight ||
		    other->index != mine->index)
			return false;
	}
	return true;
}

static int write_ring(struct occupied *occupied, const struct service_model *service,
		      const struct maglev_backend *members, size_t count, struct canary_ring *ret, struct error *error)
{
	__u32 size = maglev_size(members, count);
	__u32 word_count = (size + CANARY_RING_SLOTS_PER_WORD - 1) / CANARY_RING_SLOTS_PER_WORD;
	__u16 *slots = calloc(word_count, CANARY_RING_SLOTS_PER_WORD * sizeof(*slots));
	__u64 *words;
	int result = -ENOMEM;

	if (slots)
		result = maglev_build(members, count, slots, size);
	if (result) {
		result = fail(error, result, "%s: cannot build the ring of its backends: %s", service->name,
			      explain_errno(result));
		goto out;
	}
	ret->size = size;
	words = occupied_take_words(occupied, word_count, &ret->base);
	if (!words) {
		result = no_room(error, -errno, service, "ring of backends");
		goto out;
	}
	for (__u32 word = 0; word < word_count; word++) {
		__u64 packed = 0;

		for (int i = 0; i < CANARY_RING_SLOTS_PER_WORD; i++)
			packed |= (__u64)slots[word * CANARY_RING_SLOTS_PER_WORD + i] << i * 16;
		words[word] = packed;
	}
out:
	free(slots);
	return result;
}

static int build_ring(struct occupied *occupied, const struct service_model *service, enum canary_cohort cohort,
		      struct canary_ring *ret, struct error *error)
{
	size_t count = service_backends_up(service, cohort), n = 0;
	struct maglev_backend *members;
	int result;

	*ret = (struct canary_ring){};
	if (!count)
		return 0;
	members = calloc(count, sizeof(*members));
	if (!members)
		return fail(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		if (backend->cohort == cohort && !backend->draining)
			members[n++] = (struct maglev_backend){.addr = backend->addr,
							       .port = htons(backend->port),
							       .weight = backend->weight,
							       .value = backend->index};
	}
	result = write_ring(occupied, service, members, count, ret, error);
	free(members);
	return result;
}

static bool same_segments(const struct service_model *a, const struct service_model *b)
{
	if (a->segment_count != b->segment_count)
		return false;
	for (size_t i = 0; i < a->segment_count; i++) {
		const struct segment_model *mine = &a->segments[i];
		const struct segment_model *other = service_find_segment(b, &mine->addr, mine->prefix_len);

		if (!other || other->cohort != mine->cohort)
			return false;
	}
	return true;
}

/* Removes the prefixes of sets that no record names any more. */
static int sweep_segments(struct dataplane *dataplane, const struct occupied *occupied)
{
	int fd = dataplane->fd[MAP_segments];
	struct canary_segment_key key, next;
	void *from = NULL;

	while (!bpf_map_get_next_key(fd, from, &next)) {
		if (occupied_has_segment_set(occupied, next.set)) {
			key = next;
			from = &key;
		} else if (bpf_map_delete_elem(fd, &next) && errno != ENOENT) {
			return -errno;
		}
	}
	return 0;
}

static int write_segments(struct dataplane *dataplane, struct occupied *occupied, const struct service_model *service,
			  struct canary_config *config, struct error *error)
{
	__u64 *words;

	config->segment_count = service->segment_count;
	config->segment_set = 0;
	config->segments = 0;
	if (!service->segment_count)
		return 0;
	words = occupied_take_words(occupied, service->segment_count * CANARY_SEGMENT_WORDS, &config->segments);
	if (!words)
		return no_room(error, -errno, service, "list of segments");
	if (occupied_first_segments(occupied))
		sweep_segments(dataplane, occupied);
	config->segment_set = dataplane->settings->next_segment_set++;
	for (size_t i = 0; i < service->segment_count; i++, words += CANARY_SEGMENT_WORDS) {
		const struct segment_model *segment = &service->segments[i];
		struct canary_segment_key key = {
			.prefixlen = 32 + segment->prefix_len, .set = config->segment_set, .addr = segment->addr};
		__u32 cohort = segment->cohort;

		memcpy(words, &segment->addr, sizeof(segment->addr));
		words[2] = segment->prefix_len | (__u64)cohort << 8;
		if (bpf_map_update_elem(dataplane->fd[MAP_segments], &key, &cohort, BPF_ANY))
			return no_room(error, -ENOSPC, service, "segments");
	}
	return 0;
}

struct canary_config record_materialise(const struct canary_config *stopped)
{
	struct canary_config config = *stopped;

	config.threshold = 0;
	config.weight = 0;
	memset(config.watched, 0, sizeof(config.watched));
	memset(config.step, 0, sizeof(config.step));
	/* For the moment that it is in force and not stopped, there is nothing to stop it for. */
	config.limit = 0;
	config.lease_ns = 0;
	return config;
}

int record_build(struct dataplane *dataplane, struct occupied *occupied, const struct service_model *actual,
		 struct service_model *desired, struct canary_config *ret, struct error *error)
{
	struct canary_config config = {.salt = desired->salt ? desired->salt
							     : keys_salt(&dataplane->settings->keys, desired),
				       .threshold = weight_threshold(desired->weight),
				       .forward = desired->forward,
				       .affinity = desired->affinity,
				       .track = desired->track,
				       .overflow = desired->overflow,
				       .mss = desired->mss,
				       .id_offset = desired->id_offset,
				       .id_length = desired->id_length,
				       .weight = desired->weight,
				       .gue_port = htons(service_gue_port(desired)),
				       .assignment = desired->assignment,
				       .salt_number = desired->salt_number,
				       .idle_timeout = desired->idle_timeout,
				       .max_window = desired->max_window};
	const struct canary_config *records = actual ? records_of(dataplane, actual->id) : NULL;
	const struct canary_config *now = records ? &records[canary_word_now(actual->word)] : NULL;
	int result;

	if (actual && !records)
		return fail(error, -errno, "cannot map the configurations: %s", explain_errno(errno));
	desired->salt = config.salt;
	if (desired->reset_after != RESET_NEVER)
		config.reset_ns = monotonic_ns() + desired->reset_after * 1000000000ULL;
	result = place_backends(dataplane, occupied, desired, error);
	if (now && same_list(actual, desired)) {
		config.members = now->members;
		config.member_count = now->member_count;
	} else if (!result) {
		result = write_members(dataplane, occupied, desired, &config, error);
	}
	for (int cohort = 0; !result && cohort < CANARY_COHORTS; cohort++) {
		if (now && same_members(actual, desired, cohort))
			config.ring[cohort] = now->ring[cohort];
		else
			result = build_ring(occupied, desired, cohort, &config.ring[cohort], error);
	}
	if (result)
		return result;
	if (now && same_segments(actual, desired)) {
		config.segment_set = now->segment_set;
		config.segments = now->segments;
		config.segment_count = now->segment_count;
	} else {
		result = write_segments(dataplane, occupied, desired, &config, error);
	}
	if (!result)
		result = record_guard(occupied, now, desired, &config, error);
	if (!result)
		*ret = config;
	return result;
}
