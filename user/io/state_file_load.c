/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "core/validate.h"
#include "io/state_file.h"
#include "io/state_file_format.h"

static int unpack_backend(json_t *json, struct service_model *service)
{
	struct backend_model *backend = service_add_backend(service);
	const char *cohort, *addr;
	int port, weight, draining;

	if (!backend)
		return -ENOMEM;
	if (json_unpack(json, "{s:s, s:s, s:i, s:i, s:b}", "cohort", &cohort, "address", &addr, "port", &port, "weight",
			&weight, "draining", &draining) ||
	    parse_cohort(cohort, &backend->cohort) || parse_addr(addr, &backend->addr))
		return -EINVAL;
	backend->port = port;
	backend->weight = weight > 0 ? (unsigned)weight : 0;
	backend->draining = draining;
	return 0;
}

static int unpack_segment(json_t *json, struct service_model *service)
{
	struct segment_model *segment = service_add_segment(service);
	const char *clients, *cohort;

	if (!segment)
		return -ENOMEM;
	if (json_unpack(json, "{s:s, s:s}", "clients", &clients, "cohort", &cohort) ||
	    parse_prefix(clients, &segment->addr, &segment->prefix_len) || parse_cohort(cohort, &segment->cohort))
		return -EINVAL;
	return 0;
}

static int unpack_salt(const char *text, __u64 *ret)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return -EINVAL;
	*ret = strtoull(text, NULL, 16);
	return 0;
}

static bool is_sound(int weight, json_int_t salt_number)
{
	return weight >= 0 && weight <= CANARY_WEIGHT_ONE && salt_number >= 0 && salt_number <= UINT_MAX;
}

static int unpack_service(json_t *json, struct service_model *service)
{
	const char *name, *proto, *addr;
	json_int_t salt_number, lease = LEASE_UNSET; /* in files that say nothing of leases */
	int stopped = false;

	if (json_unpack(json, "{s:s, s:s, s:s, s:i, s:i, s:I, s?I, s?b}", "name", &name, "protocol", &proto, "address",
			&addr, "port", &service->port, "weight_hundredths", &service->weight, "salt_number",
			&salt_number, "lease", &lease, "stopped", &stopped) ||
	    !name_is_valid(name) || parse_proto(proto, &service->proto) || parse_addr(addr, &service->addr) ||
	    service->port < 0 || service->port > USHRT_MAX || !is_sound(service->weight, salt_number) || lease < 0 ||
	    (lease > LEASE_MAX && lease != LEASE_UNSET))
		return -EINVAL;
	snprintf(service->name, sizeof(service->name), "%s", name);
	service->salt_number = salt_number;
	service->lease = lease;
	service->begin_stopped = stopped;
	return 0;
}

static int unpack_words(json_t *json, struct service_model *service)
{
	const char *forward, *affinity, *track, *overflow, *salt;

	if (json_unpack(json, "{s:s, s:s, s:s, s:s, s:s}", "forward", &forward, "affinity", &affinity, "track", &track,
			"overflow", &overflow, "salt", &salt) ||
	    parse_forward(forward, &service->forward) || parse_affinity(affinity, &service->affinity) ||
	    parse_track(track, &service->track) || parse_overflow(overflow, &service->overflow) ||
	    unpack_salt(salt, &service->salt))
		return -EINVAL;
	return 0;
}

static int unpack_window(json_t *json, struct service_model *oldest, struct window_times *ret_times)
{
	json_int_t opened, changed, salt_number;
	json_t *backends, *segments;
	int idle_timeout, max_window, err, gue_port = 0; /* in files of before there was gue */

	if (json_unpack(json, "{s:I, s:I, s:i, s:I, s:i, s:i, s:o, s:o, s?i}", "opened", &opened, "changed", &changed,
			"weight_hundredths", &oldest->weight, "salt_number", &salt_number, "idle_timeout",
			&idle_timeout, "max_window", &max_window, "backends", &backends, "segments", &segments,
			"gue_port", &gue_port) ||
	    opened < 0 || changed < opened || !is_sound(oldest->weight, salt_number) || idle_timeout < 1 ||
	    max_window < 1 || !json_is_array(backends) || !json_is_array(segments))
		return -EINVAL;
	oldest->salt_number = salt_number;
	*ret_times = (struct window_times){.opened = opened, .changed = changed};
	oldest->idle_timeout = idle_timeout;
	oldest->max_window = max_window;
	oldest->gue_port = gue_port;
	err = unpack_words(json, oldest);
	for (size_t i = 0; !err && i < json_array_size(backends); i++)
		err = unpack_backend(json_array_get(backends, i), oldest);
	for (size_t i = 0; !err && i < json_array_size(segments); i++)
		err = unpack_segment(json_array_get(segments, i), oldest);
	return err;
}

static int damaged(const char *path, const char *where, struct error *error)
{
	return fail(error, -EINVAL, "%s is damaged (%s)", path, where);
}

static int unpack_one(json_t *json, struct saved_state *state)
{
	struct service_model *service = model_add_service(&state->services), *oldest;
	json_t *window = json_object_get(json, "window");
	int err = service ? unpack_service(json, service) : -ENOMEM;

	if (err || !window)
		return err;
	oldest = model_add_service(&state->oldest);
	if (!oldest)
		return -ENOMEM;
	memcpy(oldest->name, service->name, sizeof(oldest->name));
	oldest->addr = service->addr;
	oldest->port = service->port;
	oldest->proto = service->proto;
	oldest->lease = service->lease;
	return unpack_window(window, oldest, &state->times[state->oldest.service_count - 1]);
}

static int unpack(const char *path, json_t *root, struct saved_state *state, struct error *error)
{
	json_t *services = json_object_get(root, "services");
	struct problem problem = {};
	char where[64];
	int err = 0;

	if (json_integer_value(json_object_get(root, "format")) != STATE_FORMAT || !json_is_array(services))
		return damaged(path, "it is not of a format that this version knows", error);
	state->times = calloc(json_array_size(services) + 1, sizeof(*state->times));
	if (!state->times)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < json_array_size(services); i++) {
		snprintf(where, sizeof(where), "services[%zu] is not as it was written", i);
		err = unpack_one(json_array_get(services, i), state);
	}
	if (err == -EINVAL)
		return damaged(path, where, error);
	if (!err)
		err = validate_running(&state->oldest, &problem);
	if (err == -EINVAL)
		return damaged(path, problem.text, error);
	return err ? fail(error, err, "%s: there is not enough memory to read it", path) : 0;
}

int state_file_load(const char *path, struct saved_state *ret, struct error *error)
{
	struct saved_state state = {};
	json_error_t flaw;
	json_t *root;
	char where[JSON_ERROR_TEXT_LENGTH + 32];
	FILE *file = fopen(path, "re");
	int err;

	if (!file && errno == ENOENT) {
		*ret = (struct saved_state){};
		return 0;
	}
	if (!file)
		return fail(error, -errno, "%s: cannot be opened: %s", path, strerror(errno));
	root = json_loadf(file, JSON_REJECT_DUPLICATES, &flaw);
	fclose(file);
	if (!root) {
		snprintf(where, sizeof(where), "line %d: %s", flaw.line, flaw.text);
		return damaged(path, where, error);
	}
	err = unpack(path, root, &state, error);
	json_decref(root);
	if (err) {
		saved_state_free(&state);
		return err;
	}
	*ret = state;
	return 0;
}

void saved_state_free(struct saved_state *state)
{
	model_free(&state->services);
	model_free(&state->oldest);
	free(state->times);
	*state = (struct saved_state){};
}
