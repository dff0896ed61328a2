/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade of maps of the ABI before. Such maps are made of this one's: with the older number, and arrays in the place
 * of `tables`.
 */
#include "lib_run.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "canary/select.h"

#define FLOWS 40

/* What is left of an upgrade that was killed. */
enum present {
	PRESENT_NOTHING,
	PRESENT_TABLES, /* pinned, and not yet filled in */
	PRESENT_ALL, /* only the programs are to be replaced */
	PRESENTS,
};

static const char *pin_path(const char *name)
{
	static char path[2][160];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", env.dir, name);
	return path[turn];
}

static void unlink_pin(const char *name)
{
	assert_int_equal(unlink(pin_path(name)), 0);
}

static void write_abi(__u32 abi)
{
	struct canary_settings settings;
	__u32 zero = 0;
	int fd = open_pin("settings");

	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &settings), 0);
	settings.abi = abi;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &settings, BPF_ANY), 0);
	close(fd);
}

static __u32 read_abi(void)
{
	struct canary_settings settings;
	__u32 zero = 0;
	int fd = open_pin("settings");

	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &settings), 0);
	close(fd);
	return settings.abi;
}

static void configure_some(void)
{
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .stable = "10.0.0.11:8080 10.0.0.12:8080",
		   .canary = "10.0.0.21:8080",
		   .weight = 5000},
		  {.name = "mail",
		   .endpoint = VIP ":25",
		   .forward = CANARY_FORWARD_L2,
		   .affinity = CANARY_AFFINITY_CLIENT,
		   .stable = "10.0.0.11",
		   .canary = "10.0.0.21",
		   .weight = 300,
		   .segments = "198.51.100.0/24>canary"},
		  {.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_IPIP,
		   .stable = "10.0.0.11"});
}

/* The last number of the address of the host that gets a packet. */
static unsigned host_of(unsigned sport, unsigned flags, unsigned seq)
{
	struct spec spec = {.src = CLIENT, .dst = VIP, .sport = sport, .dport = 80, .flags = flags, .seq = seq};

	return redirected_to(&spec);
}

static void pin_array(const char *name, const void *from, __u32 entries, __u32 size)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), size, entries, &options);

	assert_true(fd >= 0);
	for (__u32 i = 0; i < entries; i++)
		assert_int_equal(bpf_map_update_elem(fd, &i, (const char *)from + (size_t)i * size, BPF_ANY), 0);
	assert_int_equal(bpf_obj_pin(fd, pin_path(name)), 0);
	close(fd);
}

/* As they were before the last of their kinds came: `count` and `drops` follow each other. */
static void give_fewer_counters(void)
{
	struct canary_cohort_counters *values;
	int cpus = libbpf_num_possible_cpus(), from = open_pin("cohort_counters"), to;
	const size_t size = sizeof(*values) - sizeof(__u64), counts = size - sizeof(values->drops);
	char *fewer = calloc(cpus, size);

	values = calloc(cpus, sizeof(*values));
	assert_non_null(values);
	assert_non_null(fewer);
	to = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "cohort_counters", sizeof(__u32), size,
			    CANARY_MAX_SERVICES * CANARY_COHORTS, NULL);
	assert_true(to >= 0);
	for (__u32 key = 0; key < CANARY_MAX_SERVICES * CANARY_COHORTS; key++) {
		assert_int_equal(bpf_map_lookup_elem(from, &key, values), 0);
		for (int cpu = 0; cpu < cpus; cpu++) {
			values[cpu].drops[CANARY_COHORT_REASONS - 1] = 10 * key + cpu;
			memcpy(fewer + cpu * size, values[cpu].count, counts);
			memcpy(fewer + cpu * size + counts, values[cpu].drops, sizeof(values->drops));
		}
		assert_int_equal(bpf_map_update_elem(to, &key, fewer, BPF_ANY), 0);
	}
	unlink_pin("cohort_counters");
	assert_int_equal(bpf_obj_pin(to, pin_path("cohort_counters")), 0);
	close(from);
	close(to);
	free(values);
	free(fewer);
}

/* The last of the drops, which give_fewer_counters() wrote. */
static void assert_drops_kept(__u32 service, enum canary_cohort cohort, const struct canary_cohort_counters *counters)
{
	__u32 key = service * CANARY_COHORTS + cohort;
	int cpus = libbpf_num_possible_cpus();

	assert_int_equal(counters->drops[CANARY_COHORT_REASONS - 1], 10 * key * cpus + cpus * (cpus - 1) / 2);
	assert_int_equal(counters->count[CANARY_COHORT_COUNTERS - 1], 0);
}

/* The arrays of the ABI before, and of `tables` what an upgrade that was killed left. */
static void give_arrays(enum present present)
{
	struct canary_tables *tables = malloc(sizeof(*tables));
	int fd = open_pin("tables");
	__u32 zero = 0;

	assert_non_null(tables);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, tables), 0);
	pin_array("configs", tables->configs, CANARY_MAX_SERVICES * CANARY_CONFIGS, sizeof(*tables->configs));
	pin_array("backends", tables->backends, CANARY_MAX_BACKENDS, sizeof(*tables->backends));
	pin_array("filter", tables->filter, CANARY_FILTER_BITS / 64, sizeof(*tables->filter));
	pin_array("service_hints", tables->service_hints, CANARY_SERVICE_HINTS, sizeof(*tables->service_hints));
	if (present != PRESENT_ALL)
		unlink_pin("tables"); /* the programs keep it: theirs stand for those that read the arrays */
	memset(tables, 0xaa, sizeof(*tables));
	if (present == PRESENT_TABLES)
		pin_array("tables", tables, 1, sizeof(*tables));
	close(fd);
	free(tables);
}

/* Makes a state of the ABI before, of which an upgrade that was killed did so much. Returns what was configured. */
static struct model make_older(enum present present)
{
	struct model before;

	env_fresh(NULL);
	configure_some();
	for (unsigned i = 0; i < FLOWS; i++) {
		host_of(1000 + i, SYN, 100);
		host_of(1000 + i, ACK, 101);
	}
	before = read_model();
	dataplane_close(env.dataplane);
	env.dataplane = NULL;
	give_arrays(present);
	give_fewer_counters();
	write_abi(present == PRESENT_ALL ? CANARY_ABI_UPGRADING : CANARY_ABI_PREVIOUS);
	return before;
}

static void assert_kept(const struct model *before)
{
	assert_int_equal(env.model.service_count, before->service_count);
	for (size_t i = 0; i < before->service_count; i++) {
		const struct service_model *was = &before->services[i], *is = &env.model.services[i];

		assert_string_equal(is->name, was->name);
		assert_int_equal(is->word, was->word);
		assert_int_equal(is->salt, was->salt);
		assert_int_equal(is->weight, was->weight);
		assert_int_equal(is->assignment, was->assignment);
		assert_int_equal(is->segment_count, was->segment_count);
		assert_int_equal(is->backend_count, was->backend_count);
		assert_memory_equal(is->backends, was->backends, was->backend_count * sizeof(*was->backends));
	}
}

static int keep_last(const struct canary_event *event, void *last)
{
	*(struct canary_event *)last = *event;
	return 0;
}

static void assert_told(void)
{
	struct canary_event last = {};
	__u64 number, lost;

	assert_int_equal(dataplane_events(env.dataplane, 0, keep_last, &last, &number, &lost), 0);
	assert_int_equal(last.type, CANARY_EVENT_UPGRADED);
	assert_int_equal(last.value[0], CANARY_ABI_PREVIOUS);
	assert_int_equal(last.value[1], CANARY_ABI_VERSION);
}

/* What the ABI before had pinned is gone. */
static void assert_no_arrays(void)
{
	static const char *const names[] = {"configs", "backends", "filter", "service_hints"};

	for (int i = 0; i < 4; i++)
		assert_int_equal(access(pin_path(names[i]), F_OK), -1);
}

static void what_is_older_is_refused_and_says_what_to_do(void **state)
{
	static const enum dataplane_access accesses[] = {DATAPLANE_READ, DATAPLANE_CHANGE, DATAPLANE_CREATE};
	struct dataplane *dataplane = NULL;
	struct error error;

	(void)state;
	for (enum present present = PRESENT_NOTHING; present < PRESENTS; present++) {
		struct model before = make_older(present);

		model_free(&before);
		for (int i = 0; i < 3; i++) {
			error.text[0] = 0;
			assert_int_equal(dataplane_open(env.dir, accesses[i], &dataplane, &error), -EPROTO);
			assert_non_null(strstr(error.text, present == PRESENT_ALL ? "interrupted" : "ABI 5"));
			assert_non_null(strstr(error.text, "'canaryctl upgrade'"));
			assert_null(strchr(error.text, '\n'));
		}
		env_upgrade();
	}
}

static void an_upgrade_keeps_all_and_adds_what_is_new(void **state)
{
	(void)state;
	/* Killed at any moment, it is completed by the next. */
	for (enum present present = PRESENT_NOTHING; present < PRESENTS; present++) {
		struct model before = make_older(present);
		unsigned hosts[FLOWS], flows;
		struct canary_cohort_counters counters, counters_now;
		const struct service_model *web;

		env_upgrade();
		assert_kept(&before);
		assert_int_equal(read_abi(), CANARY_ABI_VERSION);
		assert_told();
		assert_no_arrays();
		/* The connections are where they were, and counted. */
		flows = established_flows();
		assert_int_equal(flows, FLOWS);
		web = find_service("web");
		assert_int_equal(dataplane_cohort_counters(env.dataplane, web->id, CANARY_CANARY, &counters), 0);
		assert_true(counters.count[CANARY_COHORT_FLOWS] > 0);
		assert_drops_kept(web->id, CANARY_CANARY, &counters);
		for (unsigned i = 0; i < FLOWS; i++)
			hosts[i] = host_of(1000 + i, ACK, 102);
		for (unsigned i = 0; i < FLOWS; i++)
			assert_int_equal(host_of(1000 + i, ACK, 103), hosts[i]);
		assert_int_equal(established_flows(), flows);
		assert_int_equal(dataplane_cohort_counters(env.dataplane, web->id, CANARY_CANARY, &counters_now), 0);
		assert_int_equal(counters_now.count[CANARY_COHORT_FLOWS], counters.count[CANARY_COHORT_FLOWS]);
		model_free(&before);
	}
}

/* A tracepoint's pin cannot be replaced: an upgrade ends there, with all programs of interfaces replaced. */
static void upgrade_in_part(void)
{
	static const char pin[] = "link_canary_exception", elsewhere[] = "elsewhere";
	struct dataplane *dataplane;
	struct error error;

	assert_int_equal(rename(pin_path(pin), pin_path(elsewhere)), 0);
	assert_int_equal(mkdir(pin_path(pin), 0700), 0);
	if (dataplane_open(env.dir, DATAPLANE_UPGRADE, &dataplane, &error))
		fail_msg("%s", error.text);
	assert_int_not_equal(dataplane_upgrade(dataplane, &error), 0);
	dataplane_close(dataplane);
	assert_int_equal(rmdir(pin_path(pin)), 0);
	assert_int_equal(rename(pin_path(elsewhere), pin_path(pin)), 0);
	assert_int_equal(read_abi(), CANARY_ABI_UPGRADING);
}

static void what_is_half_upgraded_serves_and_waits_for_the_next(void **state)
{
	struct model before = make_older(PRESENT_NOTHING);
	struct dataplane *dataplane;
	unsigned hosts[FLOWS];
	struct error error;

	(void)state;
	upgrade_in_part();
	assert_int_equal(dataplane_open(env.dir, DATAPLANE_CHANGE, &dataplane, &error), -EPROTO);
	assert_non_null(strstr(error.text, "interrupted"));
	close(env.program);
	env.program = open_pin("canary_xdp");
	for (unsigned i = 0; i < FLOWS; i++)
		hosts[i] = host_of(1000 + i, ACK, 102);
	env_upgrade();
	assert_kept(&before);
	assert_told();
	for (unsigned i = 0; i < FLOWS; i++)
		assert_int_equal(host_of(1000 + i, ACK, 103), hosts[i]);
	model_free(&before);
}

static void an_upgrade_within_an_abi_keeps_settings(void **state)
{
	struct model actual, desired;
	struct error error;

	(void)state;
	configure_some();
	actual = read_model();
	assert_int_equal(model_copy(&actual, &desired), 0);
	desired.services[0].handshake_timeout = 500;
	desired.services[0].breaker = false;
	assert_int_equal(dataplane_commit(env.dataplane, &actual, &desired, &error), 0);
	model_free(&actual);
	model_free(&desired);
	env_upgrade();
	assert_int_equal(find_service("web")->handshake_timeout, 500);
	assert_false(find_service("web")->breaker);
	assert_int_equal(read_abi(), CANARY_ABI_VERSION);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_is_older_is_refused_and_says_what_to_do),
		TEST(an_upgrade_keeps_all_and_adds_what_is_new),
		TEST(what_is_half_upgraded_serves_and_waits_for_the_next),
		TEST(an_upgrade_within_an_abi_keeps_settings),
	};

	return RUN(tests);
}
