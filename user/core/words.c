/* SPDX-License-Identifier: Apache-2.0 */
/* The names of enums: the half of text.h that is tables. */
#include "core/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

struct vocabulary {
	const char *names[4]; /* by value; the rest NULL */
	const char *all; /* the same for a sentence */
};

static const struct vocabulary cohorts = {
	.names = {[CANARY_STABLE] = "stable", [CANARY_CANARY] = "canary"},
	.all = "stable or canary",
};
static const struct vocabulary forwards = {
	.names = {[CANARY_FORWARD_NAT] = "nat",
		  [CANARY_FORWARD_L2] = "l2",
		  [CANARY_FORWARD_IPIP] = "ipip",
		  [CANARY_FORWARD_GUE] = "gue"},
	.all = "nat, l2, ipip or gue",
};
static const struct vocabulary affinities = {
	.names = {[CANARY_AFFINITY_FLOW] = "flow", [CANARY_AFFINITY_CLIENT] = "client"},
	.all = "flow or client",
};
static const struct vocabulary tracks = {
	.names = {[CANARY_TRACK_AUTO] = "auto", [CANARY_TRACK_ALWAYS] = "always", [CANARY_TRACK_NEVER] = "never"},
	.all = "auto, always or never",
};
static const struct vocabulary overflows = {
	.names = {[CANARY_OVERFLOW_OTHER] = "other", [CANARY_OVERFLOW_DROP] = "drop"},
	.all = "other or drop",
};

static const struct vocabulary on_expiries = {
	.names = {[CANARY_EXPIRY_STABLE] = "stable", [CANARY_EXPIRY_HOLD] = "hold"},
	.all = "stable or hold",
};
static const struct vocabulary stop_reasons = {
	.names = {[CANARY_STOP_NONE] = "none",
		  [CANARY_STOP_RELATIVE] = "relative",
		  [CANARY_STOP_ABSOLUTE] = "absolute",
		  [CANARY_STOP_LEASE] = "lease"},
};

static const char *const event_types[CANARY_EVENT_TYPES] = {
#define X(NAME, name, help) [CANARY_EVENT_##NAME] = #name,
	CANARY_EVENT_LIST(X)
#undef X
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int find(const struct vocabulary *vocabulary, const char *text)
{
	for (size_t i = 0; i < COUNT(vocabulary->names) && vocabulary->names[i]; i++) {
		if (!strcmp(vocabulary->names[i], text))
			return (int)i;
	}
	return -EINVAL;
}

static const char *name(const struct vocabulary *vocabulary, unsigned value)
{
	if (value >= COUNT(vocabulary->names) || !vocabulary->names[value])
		return "unknown";
	return vocabulary->names[value];
}

/* What text.h declares for each enum comes from its vocabulary. */
#define DEFINE(what, vocabulary)                                                                                       \
	int parse_##what(const char *text, enum canary_##what *ret)                                                    \
	{                                                                                                              \
		int value = find(&(vocabulary), text);                                                                 \
                                                                                                                       \
		if (value < 0)                                                                                         \
			return value;                                                                                  \
		*ret = (enum canary_##what)value;                                                                      \
		return 0;                                                                                              \
	}                                                                                                              \
	const char *what##_name(enum canary_##what value)                                                              \
	{                                                                                                              \
		return name(&(vocabulary), value);                                                                     \
	}

DEFINE(cohort, cohorts)
DEFINE(forward, forwards)
DEFINE(affinity, affinities)
DEFINE(track, tracks)
DEFINE(overflow, overflows)
DEFINE(on_expiry, on_expiries)

const char *cohort_names(void)
{
	return cohorts.all;
}

const char *forward_names(void)
{
	return forwards.all;
}

const char *affinity_names(void)
{
	return affinities.all;
}

const char *track_names(void)
{
	return tracks.all;
}

const char *overflow_names(void)
{
	return overflows.all;
}

const char *on_expiry_names(void)
{
	return on_expiries.all;
}

const char *stop_reason_name(enum canary_stop_reason reason)
{
	return name(&stop_reasons, reason);
}

const char *event_type_name(enum canary_event_type type)
{
	return type < CANARY_EVENT_TYPES && event_types[type] ? event_types[type] : "unknown";
}

int parse_proto(const char *text, int *ret)
{
	if (!strcmp(text, "tcp"))
		*ret = IPPROTO_TCP;
	else if (!strcmp(text, "udp"))
		*ret = IPPROTO_UDP;
	else
		return -EINVAL;
	return 0;
}

int parse_bool(const char *text, bool *ret)
{
	bool is_true = !strcmp(text, "true");

	if (!is_true && strcmp(text, "false"))
		return -EINVAL;
	*ret = is_true;
	return 0;
}

const char *proto_name(int proto)
{
	return proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : "unknown";
}
