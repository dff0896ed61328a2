/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "core/text.h"
#include "lib_shown.h"

static const char *const side_names[] = {"front", "back"};
static const char *const cohort_counter_names[] = {
#define X(NAME, name, help) #name,
	CANARY_COHORT_COUNTER_LIST(X)
#undef X
};
static const char *const backend_counter_names[] = {
#define X(NAME, name, help) #name,
	CANARY_BACKEND_COUNTER_LIST(X)
#undef X
};
static const char *const interface_counter_names[] = {
#define X(NAME, name, help) #name,
	CANARY_INTERFACE_COUNTER_LIST(X)
#undef X
};
static const char *const reason_names[] = {
#define X(NAME, name, SCOPE, help) #name,
	CANARY_REASON_LIST(X)
#undef X
};

void run_packet(enum side side, const struct packet *in, struct outcome *ret)
{
	struct xdp_md ctx = {.data_end = in->len, .ingress_ifindex = env.interfaces[side].ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->data, .data_size_in = in->len,
		    .data_out = ret->packet.data, .data_size_out = sizeof(ret->packet.data), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	ret->packet = (struct packet){};
	if (bpf_prog_test_run_opts(env.program, &options))
		fail_msg("cannot run a packet of %u bytes: %s", in->len, strerror(errno));
	ret->verdict = options.retval;
	ret->packet.len = options.data_size_out;
}

struct counter {
	char name[160];
	long long value;
};

struct counters {
	struct counter *list;
	size_t count, room;
};

static struct counter *find_counter(const struct counters *counters, const char *name)
{
	for (size_t i = 0; i < counters->count; i++)
		if (!strcmp(counters->list[i].name, name))
			return &counters->list[i];
	return NULL;
}

__attribute__((format(printf, 3, 4))) static void add_counter(struct counters *counters, long long value,
							      const char *format, ...)
{
	struct counter counter = {.value = value}, *same;
	va_list args;

	va_start(args, format);
	vsnprintf(counter.name, sizeof(counter.name), format, args);
	va_end(args);
	if (!value)
		return;
	same = find_counter(counters, counter.name);
	if (same) {
		same->value += value;
		return;
	}
	if (counters->count == counters->room) {
		counters->room = counters->room ? 2 * counters->room : 32;
		counters->list = reallocarray(counters->list, counters->room, sizeof(counter));
		assert_non_null(counters->list);
	}
	counters->list[counters->count++] = counter;
}

static void take_interface(struct counters *counters, enum side side)
{
	struct canary_interface_counters values;

	assert_int_equal(dataplane_interface_counters(env.dataplane, env.interfaces[side].ifindex, &values), 0);
	for (int i = 0; i < CANARY_INTERFACE_COUNTERS; i++)
		add_counter(counters, values.count[i], "%s.%s", side_names[side], interface_counter_names[i]);
	for (int i = 0; i < CANARY_REASONS; i++)
		add_counter(counters, values.drops[i], "%s.%s", side_names[side], reason_names[i]);
}

static void take_service(struct counters *counters, const struct service_model *service)
{
	char text[ADDR_TEXT_LEN];

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct canary_cohort_counters values;

		assert_int_equal(dataplane_cohort_counters(env.dataplane, service->id, cohort, &values), 0);
		for (int i = 0; i < CANARY_COHORT_COUNTERS; i++)
			add_counter(counters, values.count[i], "%s.%s.%s", service->name, cohort_name(cohort),
				    cohort_counter_names[i]);
		for (int i = 0; i < CANARY_COHORT_REASONS; i++)
			add_counter(counters, values.drops[i], "%s.%s.%s", service->name, cohort_name(cohort),
				    reason_names[CANARY_FIRST_COHORT_REASON + i]);
	}
	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];
		struct canary_backend_counters values;

		assert_int_equal(dataplane_backend_counters(env.dataplane, backend->index, &values), 0);
		format_endpoint(&backend->addr, backend->port, text);
		for (int j = 0; j < CANARY_BACKEND_COUNTERS; j++)
			add_counter(counters, values.count[j], "%s.%s", text, backend_counter_names[j]);
	}
}

struct counters *counters_take(void)
{
	struct counters *counters = calloc(1, sizeof(*counters));

	assert_non_null(counters);
	for (int side = 0; side < SIDES; side++)
		take_interface(counters, side);
	for (size_t i = 0; i < env.model.service_count; i++)
		take_service(counters, &env.model.services[i]);
	return counters;
}

void counters_free(struct counters *counters)
{
	free(counters->list);
	free(counters);
}

/* One word of an expectation. */
static void add_expected(struct counters *counters, enum side side, unsigned bytes, char *word)
{
	char *value = strchr(word, '='), *place;

	if (strncmp(word, "flow:", 5) && strncmp(word, "packet:", 7) && strncmp(word, "reply:", 6)) {
		if (value)
			*value++ = 0;
		add_counter(counters, value ? atoll(value) : 1, "%s", word);
		return;
	}
	add_counter(counters, 1, "%s.forwarded", side_names[side]);
	place = strchr(word, ':') + 1;
	if (*word == 'r') {
		add_counter(counters, 1, "%s.reply_packets", place);
		add_counter(counters, bytes, "%s.reply_bytes", place);
		return;
	}
	value = strchr(place, ':');
	*value++ = 0;
	add_counter(counters, 1, "%s.packets", place);
	add_counter(counters, bytes, "%s.bytes", place);
	add_counter(counters, 1, "%s.packets", value);
	add_counter(counters, bytes, "%s.bytes", value);
	if (*word == 'f') {
		add_counter(counters, 1, "%s.flows", place);
		add_counter(counters, 1, "%s.flows", value);
	}
}

bool counters_moved(const struct counters *before, enum side side, unsigned bytes, const char *expected)
{
	struct counters *after = counters_take();
	struct counters wanted = {};
	char copy[1024], *rest = copy, *word;
	bool same = true;

	snprintf(copy, sizeof(copy), "%s", expected);
	while ((word = strsep(&rest, " ")))
		if (*word)
			add_expected(&wanted, side, bytes, word);
	for (size_t i = 0; i < before->count; i++)
		add_counter(after, 0 - before->list[i].value, "%s", before->list[i].name);
	for (size_t i = 0; i < after->count; i++) {
		struct counter *counter = find_counter(&wanted, after->list[i].name);
		long long want = counter ? counter->value : 0;

		if (after->list[i].value != want) {
			fprintf(stderr, "  counter %s: want +%lld, got +%lld\n", after->list[i].name, want,
				after->list[i].value);
			same = false;
		}
	}
	for (size_t i = 0; i < wanted.count; i++)
		if (!find_counter(after, wanted.list[i].name)) {
			fprintf(stderr, "  counter %s: want +%lld, got 0\n", wanted.list[i].name, wanted.list[i].value);
			same = false;
		}
	free(wanted.list);
	counters_free(after);
	return same;
}

struct outcome run_redirected(enum side side, const struct spec *in)
{
	struct packet packet;
	struct outcome out;

	packet_build(in, NULL, &packet);
	run_packet(side, &packet, &out);
	assert_int_equal(out.verdict, XDP_REDIRECT);
	return out;
}

unsigned redirected_to(const struct spec *in)
{
	return run_redirected(FRONT, in).packet.data[5];
}

static const char *verdict_name(int verdict)
{
	static const char *const names[] = {"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"};

	return verdict >= 0 && verdict < 5 ? names[verdict] : "no verdict";
}

void expect_packet(const char *file, int line, const char *what, enum side side, const struct spec *in, int verdict,
		   const struct spec *want, const char *counters)
{
	struct counters *before = counters_take();
	struct packet packet, expected;
	struct outcome got;
	bool right = true;

	packet_build(in, NULL, &packet);
	run_packet(side, &packet, &got);
	if (got.verdict != verdict) {
		fprintf(stderr, "  verdict: want %s, got %s\n", verdict_name(verdict), verdict_name(got.verdict));
		right = false;
	}
	/* What is dropped may be half rewritten. */
	if (verdict != XDP_DROP && right) {
		packet_build(want ? want : in, &got.packet, &expected);
		right = packet_same(&expected, &got.packet);
	}
	if (!counters_moved(before, side, packet.ip_len, counters))
		right = false;
	counters_free(before);
	if (!right)
		fail_msg("%s:%d: %s", file, line, what);
	shown_packet(in, verdict, want, counters);
}

struct spec sent_on(struct spec in, enum side side, const char *next_hop)
{
	in.from_mac = side_names[side];
	in.to_mac = next_hop;
	in.ttl = (in.ttl ? in.ttl : 64) - 1;
	return in;
}

struct spec translated(struct spec in, enum side side, const char *backend, unsigned port)
{
	in = sent_on(in, side, backend);
	in.dst = backend;
	in.dport = port;
	return in;
}
