/* SPDX-License-Identifier: Apache-2.0 */
#include "io/config_schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/health_plan.h"
#include "core/rollout_plan.h"
#include "core/text.h"

#define TEXT_OF backend_text
static const cyaml_schema_field_t backend_fields[] = {BACKEND_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF
static const cyaml_schema_value_t backend_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct backend_text, backend_fields),
};

#define TEXT_OF segment_text
static const cyaml_schema_field_t segment_fields[] = {SEGMENT_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF
static const cyaml_schema_value_t segment_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct segment_text, segment_fields),
};

#define TEXT_OF observe_text
static const cyaml_schema_field_t observe_fields[] = {OBSERVE_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF

#define TEXT_OF breaker_text
const cyaml_schema_field_t breaker_fields[] = {BREAKER_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF

#define TEXT_OF lease_text
const cyaml_schema_field_t lease_fields[] = {LEASE_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF

#define TEXT_OF service_text
static const cyaml_schema_field_t service_fields[] = {
	SERVICE_KEYS(TEXT) PART(quic),
	PART(observe),
	PART(breaker),
	PART(lease),
	PART(rollout),
	PART(health),
	LIST(stable, OPTIONAL, backend_schema),
	LIST(canary, OPTIONAL, backend_schema),
	LIST(segments, OPTIONAL, segment_schema),
	CYAML_FIELD_END,
};
#undef TEXT_OF
static const cyaml_schema_value_t service_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct service_text, service_fields),
};

#define TEXT_OF config_text
static const cyaml_schema_field_t config_fields[] = {
	PART(fleet),
	LIST(services, REQUIRED, service_schema),
	CYAML_FIELD_END,
};
#undef TEXT_OF
const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_text, config_fields),
};

int refuse_text(struct problem *problem, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem->text, sizeof(problem->text), format, args);
	va_end(args);
	return -EINVAL;
}

int refuse_word(struct problem *problem, const char *text, const char *what, const char *words)
{
	return refuse_text(problem, "'%s' is not %s: give %s", text, what, words);
}

static int parse_address(const char *text, struct canary_addr *ret, struct problem *problem)
{
	int err = parse_addr(text, ret);

	if (err == -EAFNOSUPPORT)
		return refuse_text(
			problem, "'%s' is an IPv4 address in IPv6's notation: write it as IPv4, like 192.0.2.1", text);
	if (err < 0)
		return refuse_text(problem, "'%s' is not an IPv4 or IPv6 address", text);
	return 0;
}

static int read_service_name(const char *text, struct service_model *service, struct problem *problem)
{
	if (strlen(text) >= sizeof(service->name))
		return refuse_text(problem, "a name has at most %zu characters, and this one %zu",
				   sizeof(service->name) - 1, strlen(text));
	memcpy(service->name, text, strlen(text) + 1);
	return 0;
}

static int read_service_address(const char *text, struct service_model *service, struct problem *problem)
{
	return parse_address(text, &service->addr, problem);
}

static int read_service_port(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_port(text, &service->port) < 0)
		return refuse_text(problem, "'%s' is not a port: give a number from 0 (every port) to 65535", text);
	return 0;
}

static int read_service_protocol(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_proto(text, &service->proto) < 0)
		return refuse_word(problem, text, "a protocol", "tcp or udp");
	return 0;
}

static int read_service_forward(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_forward(text, &service->forward) < 0)
		return refuse_word(problem, text, "a way to forward", forward_names());
	return 0;
}

static int read_service_gue_port(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_port(text, &service->gue_port) < 0 || !service->gue_port)
		return refuse_text(problem, "'%s' is not a port: give a number from 1 to 65535", text);
	return 0;
}

static int read_service_affinity(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_affinity(text, &service->affinity) < 0)
		return refuse_word(problem, text, "an affinity", affinity_names());
	return 0;
}

static int read_service_track(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_track(text, &service->track) < 0)
		return refuse_word(problem, text, "a way to track", track_names());
	return 0;
}

static int read_service_overflow(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_overflow(text, &service->overflow) < 0)
		return refuse_word(problem, text, "a way to overflow", overflow_names());
	return 0;
}

static int read_service_mss(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_mss(text, &service->mss) < 0)
		return refuse_text(problem, "'%s' is not a segment size: give auto, off or bytes from %d to %d", text,
				   CANARY_MSS_MIN, CANARY_MSS_MAX);
	return 0;
}

static int read_service_idle_timeout(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_duration(text, 1, IDLE_TIMEOUT_MAX, &service->idle_timeout) < 0)
		return refuse_text(problem, "'%s' is not a time from 1s to 24h: give it like 90s, 15m or 1h30m", text);
	return 0;
}

static int read_service_max_window(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_duration(text, 1, MAX_WINDOW_MAX, &service->max_window) < 0)
		return refuse_text(problem, "'%s' is not a time from 1s to 7d: give it like 90s, 15m or 24h", text);
	return 0;
}

static int read_service_weight(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_weight(text, &service->weight) < 0)
		return refuse_text(
			problem,
			"'%s' is not a weight: give percent from 0 to 100, with at most two decimals and no sign",
			text);
	return 0;
}

static int read_observe_cap(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_hundredths(text, 0, CANARY_WEIGHT_ONE, &service->observe_cap) < 0)
		return refuse_text(
			problem,
			"'%s' is not a share: give percent of the buckets from 0 to 100, with at most two decimals",
			text);
	return 0;
}

static int read_observe_handshake_timeout(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_milliseconds(text, HANDSHAKE_TIMEOUT_MIN, HANDSHAKE_TIMEOUT_MAX, &service->handshake_timeout) < 0)
		return refuse_text(problem, "'%s' is not a time from 100ms to 60s: give it like 500ms or 3s", text);
	return 0;
}

static int read_breaker_enabled(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_bool(text, &service->breaker) < 0)
		return refuse_text(problem, "'%s' is neither true nor false: give one of them", text);
	return 0;
}

static int read_breaker_ratio(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_hundredths(text, BREAKER_RATIO_MIN, BREAKER_RATIO_MAX, &service->breaker_ratio) < 0)
		return refuse_text(problem, "'%s' is not a ratio: give 1.1 to 600, with at most two decimals", text);
	return 0;
}

static int read_breaker_arl(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_unsigned(text, BREAKER_ARL_MIN, BREAKER_ARL_MAX, &service->breaker_arl) < 0)
		return refuse_text(problem, "'%s' is not a run length: give a whole number of failures from %d to %d",
				   text, BREAKER_ARL_MIN, BREAKER_ARL_MAX);
	return 0;
}

static int read_lease_duration(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_duration(text, 1, LEASE_MAX, &service->lease_default) < 0)
		return refuse_text(problem,
				   "'%s' is not a time from 1s to 12h: give it like 30s or 5m, or leave it out", text);
	return 0;
}

static int read_lease_on_expiry(const char *text, struct service_model *service, struct problem *problem)
{
	if (parse_on_expiry(text, &service->on_expiry) < 0)
		return refuse_word(problem, text, "what a lease can end with", on_expiry_names());
	return 0;
}

static int read_backend_address(const char *text, struct backend_model *backend, struct problem *problem)
{
	return parse_address(text, &backend->addr, problem);
}

static int read_backend_port(const char *text, struct backend_model *backend, struct problem *problem)
{
	if (parse_port(text, &backend->port) < 0)
		return refuse_text(problem, "'%s' is not a port: give a number from 1 to 65535, or leave it out", text);
	return 0;
}

static int read_backend_weight(const char *text, struct backend_model *backend, struct problem *problem)
{
	if (parse_unsigned(text, 1, CANARY_MAX_BACKEND_WEIGHT, &backend->weight) < 0)
		return refuse_text(problem, "'%s' is not a backend's weight: give a whole number from 1 to %d", text,
				   CANARY_MAX_BACKEND_WEIGHT);
	return 0;
}

static int read_segment_clients(const char *text, struct segment_model *segment, struct problem *problem)
{
	int err = parse_prefix(text, &segment->addr, &segment->prefix_len);

	if (err == -EAFNOSUPPORT)
		return refuse_text(problem,
				   "'%s' is an IPv4 prefix in IPv6's notation: write it as IPv4, like 192.0.2.0/24",
				   text);
	if (err == -ERANGE)
		return refuse_text(problem, "'%s' has bits set beyond its length: give the prefix's first address",
				   text);
	if (err < 0)
		return refuse_text(problem, "'%s' is not a prefix: give it like 192.0.2.0/24 or 2001:db8::/32", text);
	return 0;
}

static int read_segment_cohort(const char *text, struct segment_model *segment, struct problem *problem)
{
	if (parse_cohort(text, &segment->cohort) < 0)
		return refuse_word(problem, text, "a cohort", cohort_names());
	return 0;
}

#define READER(key) read_service_##key
static int read_service(const struct service_text *text, const char *path, struct service_model *ret,
			struct problem *problem)
{
	int err;

	SERVICE_KEYS(READ)
	return 0;
}
#undef READER

#define READER(key) read_observe_##key
static int read_observe(const struct observe_text *text, const char *path, struct service_model *ret,
			struct problem *problem)
{
	int err;

	OBSERVE_KEYS(READ)
	return 0;
}
#undef READER

#define READER(key) read_breaker_##key
int read_breaker(const struct breaker_text *text, const char *path, struct service_model *ret, struct problem *problem)
{
	int err;

	BREAKER_KEYS(READ)
	return 0;
}
#undef READER

#define READER(key) read_lease_##key
int read_lease(const struct lease_text *text, const char *path, struct service_model *ret, struct problem *problem)
{
	int err;

	LEASE_KEYS(READ)
	return 0;
}
#undef READER

/* The mappings that are parts of the service itself. */
#define READ_PART(part)                                                                                                \
	if (text->part) {                                                                                              \
		snprintf(path, sizeof(path), "%.32s" #part ".", service_path);                                         \
		err = read_##part(text->part, path, ret, problem);                                                     \
		if (err < 0)                                                                                           \
			return err;                                                                                    \
	}
static int read_parts(const struct service_text *text, const char *service_path, struct service_model *ret,
		      struct problem *problem)
{
	char path[64];
	int err;

	READ_PART(quic)
	READ_PART(observe)
	READ_PART(breaker)
	READ_PART(lease)
	if (text->quic && ret->affinity != CANARY_AFFINITY_QUIC) {
		snprintf(problem->path, sizeof(problem->path), "%.32squic", service_path);
		return refuse_text(problem, "this is for affinity quic, and the service's is %s: leave it out",
				   affinity_name(ret->affinity));
	}
	return 0;
}

/* The mappings that are the daemon's. */
static int read_plans(const struct service_text *text, const char *service_path, struct service_model *ret,
		      struct problem *problem)
{
	char path[64];
	int err = 0;

	if (text->rollout) {
		ret->rollout = malloc(sizeof(*ret->rollout));
		if (!ret->rollout)
			return -ENOMEM;
		snprintf(path, sizeof(path), "%.32srollout.", service_path);
		err = read_rollout(text->rollout, path, ret->rollout, problem);
	}
	if (!err && text->health) {
		ret->health = malloc(sizeof(*ret->health));
		if (!ret->health)
			return -ENOMEM;
		snprintf(path, sizeof(path), "%.32shealth.", service_path);
		err = read_health(text->health, path, ret->health, problem);
	}
	return err;
}

#define READER(key) read_backend_##key
static int read_backend(const struct backend_text *text, const char *path, struct backend_model *ret,
			struct problem *problem)
{
	int err;

	BACKEND_KEYS(READ)
	return 0;
}
#undef READER

#define READER(key) read_segment_##key
static int read_segment(const struct segment_text *text, const char *path, struct segment_model *ret,
			struct problem *problem)
{
	int err;

	SEGMENT_KEYS(READ)
	return 0;
}
#undef READER

static int read_backends(const struct backend_text *texts, unsigned count, enum canary_cohort cohort,
			 const char *service_path, struct service_model *service, struct problem *problem)
{
	char path[64];

	for (unsigned i = 0; i < count; i++) {
		struct backend_model *backend = service_add_backend(service);
		int err;

		if (!backend)
			return -ENOMEM;
		backend->cohort = cohort;
		snprintf(path, sizeof(path), "%.32s%s[%u].", service_path, cohort_name(cohort), i);
		err = read_backend(&texts[i], path, backend, problem);
		if (err < 0)
			return err;
	}
	return 0;
}

static int read_segments(const struct segment_text *texts, unsigned count, const char *service_path,
			 struct service_model *service, struct problem *problem)
{
	char path[64];

	for (unsigned i = 0; i < count; i++) {
		struct segment_model *segment = service_add_segment(service);
		int err;

		if (!segment)
			return -ENOMEM;
		snprintf(path, sizeof(path), "%.32ssegments[%u].", service_path, i);
		err = read_segment(&texts[i], path, segment, problem);
		if (err < 0)
			return err;
	}
	return 0;
}

int config_parse(const struct config_text *text, struct model *ret, struct problem *ret_problem)
{
	char path[32];
	int err = 0;

	if (text->fleet) {
		ret->fleet = malloc(sizeof(*ret->fleet));
		err = ret->fleet ? read_fleet(text->fleet, ret->fleet, ret_problem) : -ENOMEM;
	}
	for (unsigned i = 0; !err && i < text->services_count; i++) {
		const struct service_text *from = &text->services[i];
		struct service_model *service = model_add_service(ret);

		if (!service)
			return -ENOMEM;
		snprintf(path, sizeof(path), "services[%u].", i);
		err = read_service(from, path, service, ret_problem);
		if (!err)
			err = read_parts(from, path, service, ret_problem);
		if (!err)
			err = read_plans(from, path, service, ret_problem);
		if (!err)
			err = read_backends(from->stable, from->stable_count, CANARY_STABLE, path, service,
					    ret_problem);
		if (!err)
			err = read_backends(from->canary, from->canary_count, CANARY_CANARY, path, service,
					    ret_problem);
		if (!err)
			err = read_segments(from->segments, from->segments_count, path, service, ret_problem);
	}
	return err;
}
