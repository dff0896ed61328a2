/* SPDX-License-Identifier: Apache-2.0 */
/* The state as a whole: many changes, many services, no room, another version's. */
#include "lib_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"

enum { MANY = 1000, AT_ONCE = 400, SEGMENTS = 20, ALL = CANARY_MAX_SERVICES - 1, RINGS = 10, RING_CHANGES = 3000 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void dns(int weight, const char *stable)
{
	CONFIGURE({.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .stable = stable,
		   .canary = "10.0.0.21",
		   .weight = weight});
}

static void goes_to(const char *backend, const char *counters)
{
	static const struct spec in = {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 7, .dport = 53};
	struct spec want = sent_on(in, BACK, backend);

	EXPECT("a datagram", FRONT, &in, XDP_REDIRECT, &want, counters);
}

/* A service has few records, and one that was in force a moment ago may still be read. */
static void changes_within_a_second(int count)
{
	double begun = now();

	dns(0, "10.0.0.11");
	for (int i = 1; i <= count; i++) {
		dns(i % 2 ? 10000 : 0, "10.0.0.11");
		assert_int_equal(find_service("dns")->weight, i % 2 ? 10000 : 0);
		assert_int_equal(canary_word_epoch(find_service("dns")->word), i + 1);
		if (i % 2)
			goes_to("10.0.0.21", "flow:dns.canary:10.0.0.21:53");
		else
			goes_to("10.0.0.11", "flow:dns.stable:10.0.0.11:53");
	}
	fprintf(stderr, "  %d changes: %.2f s\n", count, now() - begun);
}

static void more_changes_than_records_within_a_second(void **state)
{
	(void)state;
	changes_within_a_second(9);
	configure(NULL, 0);
	changes_within_a_second(30);
}

/* Where in the arena the last ring of all begins. */
static __u32 highest_word(void)
{
	struct canary_config config;
	__u32 highest = 0;

	for (size_t i = 0; i < env.model.service_count; i++) {
		const struct service_model *service = &env.model.services[i];
		__u32 key = service->id * CANARY_CONFIGS + canary_word_now(service->word);

		read_tables(offsetof(struct canary_tables, configs[key]), &config, sizeof(config));
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			if (config.ring[cohort].size && config.ring[cohort].base > highest)
				highest = config.ring[cohort].base;
	}
	return highest;
}

/* Some services whose rings all change, time and again. The first is "dns". */
static void change_rings(int round)
{
	static const char *const lists[] = {"10.0.0.11 10.0.0.12", "10.0.0.11 10.0.0.12*2", "10.0.0.11 10.0.0.12*3"};
	static char endpoints[RINGS][32], names[RINGS][16];
	struct service services[RINGS] = {};

	for (int i = 0; i < RINGS; i++) {
		snprintf(names[i], sizeof(names[i]), i ? "dns%d" : "dns", i);
		snprintf(endpoints[i], sizeof(endpoints[i]), VIP ":%d", 53 + i);
		services[i] = (struct service){.name = names[i],
					       .endpoint = endpoints[i],
					       .proto = IPPROTO_UDP,
					       .forward = CANARY_FORWARD_L2,
					       .stable = lists[round % 3],
					       .canary = "10.0.0.21",
					       .weight = round % 100};
	}
	configure(services, RINGS);
}

static void thousands_of_rings_leave_nothing_behind(void **state)
{
	double begun = now();
	__u32 highest = 0;

	(void)state;
	for (int i = 0; i < RING_CHANGES / RINGS; i++) {
		change_rings(i);
		if (highest_word() > highest)
			highest = highest_word();
	}
	fprintf(stderr, "  %d rings: %.2f s, the arena was used up to word %u of %u\n", RING_CHANGES, now() - begun,
		highest, CANARY_ARENA_WORDS);
	/* A ring has 1,025 words: two for each record of a service, and for one that is made. */
	assert_true(highest < 1100 * RINGS * 2 * (CANARY_CONFIGS + 1));
	dns(0, "10.0.0.16");
	goes_to("10.0.0.16", "flow:dns.stable:10.0.0.16:53");
	dns(10000, "10.0.0.16");
	goes_to("10.0.0.21", "flow:dns.canary:10.0.0.21:53");
}

static void write_abi(const char *dir, __u32 abi)
{
	struct canary_settings settings;
	__u32 zero = 0;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/settings", dir);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &settings), 0);
	settings.abi = abi;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &settings, BPF_ANY), 0);
	close(fd);
}

static void make_state(const char *dir)
{
	struct dataplane *dataplane;
	struct error error;
	pid_t child = fork();
	int status;

	/* Ends without a dataplane_close(), so that the pins stay. */
	if (!child)
		_exit(dataplane_open(dir, DATAPLANE_CREATE, &dataplane, &error) != 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void another_versions_state_is_refused_with_a_sentence(void **state)
{
	static const enum dataplane_access accesses[] = {DATAPLANE_READ, DATAPLANE_CHANGE, DATAPLANE_CREATE};
	struct dataplane *dataplane = NULL;
	struct error error;
	char dir[80];

	(void)state;
	snprintf(dir, sizeof(dir), "%s-2", env.dir);
	make_state(dir);
	for (int i = 0; i < 3; i++) {
		write_abi(dir, CANARY_ABI_VERSION + 1);
		error.text[0] = 0;
		assert_int_equal(dataplane_open(dir, accesses[i], &dataplane, &error), -EPROTO);
		assert_null(dataplane);
		assert_non_null(strstr(error.text, dir));
		assert_non_null(strstr(error.text, "ABI"));
		assert_null(strchr(error.text, '\n'));
		/* It is still there, and still good. */
		write_abi(dir, CANARY_ABI_VERSION);
		assert_int_equal(dataplane_open(dir, DATAPLANE_READ, &dataplane, &error), 0);
		dataplane_close(dataplane);
		dataplane = NULL;
	}
	assert_int_equal(dataplane_open(dir, DATAPLANE_CHANGE, &dataplane, &error), 0);
	dataplane_close(dataplane);
	assert_int_not_equal(access(dir, F_OK), 0);
}

/* Many services, 15 stable and 5 canary backends each. */
static struct {
	char name[16], endpoint[32], stable[400], canary[160], segments[SEGMENTS * 32];
} texts[ALL + 1];
static struct service many[ALL + 1];

static void describe_some(int first, int end, int weight, int backend_weight, bool segments)
{
	for (int i = first; i < end; i++) {
		char *stable = texts[i].stable, *canary = texts[i].canary, *segment = texts[i].segments;

		snprintf(texts[i].name, sizeof(texts[i].name), "s%d", i);
		snprintf(texts[i].endpoint, sizeof(texts[i].endpoint), "203.0.%d.%d:80", i / 250, 1 + i % 250);
		for (int j = 1; j <= 15; j++)
			stable += sprintf(stable, "10.0.%d.%d*%d ", j, 1 + i % 250, j == 1 ? backend_weight : 1);
		for (int j = 1; j <= 5; j++)
			canary += sprintf(canary, "10.1.%d.%d*%d ", j, 1 + i % 250, j == 1 ? backend_weight : 1);
		for (int j = 0; j < SEGMENTS; j++)
			segment += sprintf(segment, "198.%d.%d.0/24>%s ", j, i % 250, j % 2 ? "canary" : "stable");
		many[i] = (struct service){.name = texts[i].name,
					   .endpoint = texts[i].endpoint,
					   .forward = CANARY_FORWARD_IPIP,
					   .weight = weight,
					   .stable = texts[i].stable,
					   .canary = texts[i].canary,
					   .segments = segments ? texts[i].segments : NULL};
	}
}

static void describe(int weight, int backend_weight, bool segments)
{
	describe_some(0, ALL + 1, weight, backend_weight, segments);
}

/* The commit alone; the time it took is printed, and bounded. */
static void commit_many(const char *what, size_t count)
{
	struct model actual = read_model(), desired;
	struct error error;
	double begun, took;

	make_model(many, count, &actual, &desired);
	begun = now();
	if (dataplane_commit(env.dataplane, &actual, &desired, &error))
		fail_msg("%s: %s", what, error.text);
	took = now() - begun;
	fprintf(stderr, "  %s: %.2f s\n", what, took);
	assert_true(took < 30); /* a fraction of a second; emulated machines take their time */
	model_free(&actual);
	model_free(&desired);
	env_refresh();
	assert_int_equal(env.model.service_count, count);
}

static void check_many(size_t first, size_t count, int weight, unsigned backend_weight, __u64 epoch)
{
	for (size_t i = first; i < first + count; i++) {
		const struct service_model *service = &env.model.services[i];

		assert_int_equal(service->backend_count, 20);
		assert_int_equal(service->weight, weight);
		assert_int_equal(canary_word_epoch(service->word), epoch);
		assert_int_equal(service->backends[0].weight, backend_weight);
	}
}

static void a_thousand_services_come_change_and_go_at_once(void **state)
{
	(void)state;
	describe(500, 1, false);
	commit_many("1,000 services with 20 backends each", MANY);
	check_many(0, MANY, 500, 1, 1);
	describe(2500, 1, false);
	commit_many("all weights", MANY);
	check_many(0, MANY, 2500, 1, 2);
	usleep(1100000);
	/* The rings of before are kept while the windows are open. */
	describe(2500, 2, false);
	describe_some(AT_ONCE, MANY, 2500, 1, false);
	commit_many("all rings of some", MANY);
	check_many(0, AT_ONCE, 2500, 2, 3);
	check_many(AT_ONCE, MANY - AT_ONCE, 2500, 1, 2);
	commit_many("nothing", MANY);
	check_many(0, AT_ONCE, 2500, 2, 3);
	check_many(AT_ONCE, MANY - AT_ONCE, 2500, 1, 2);
	commit_many("all deleted", 0);
	assert_int_equal(map_count("service_ids", sizeof(struct canary_service_key)), 0);
}

static void a_thousand_services_change_more_often_than_they_have_records(void **state)
{
	struct model actual, desired;
	struct error error;
	double begun, adding;

	(void)state;
	usleep(1100000);
	describe(500, 1, false);
	for (int i = 0; i < MANY; i++) {
		many[i].stable = "10.0.0.11";
		many[i].canary = "10.0.0.21";
	}
	begun = now();
	commit_many("1,000 services", MANY);
	adding = now() - begun;
	actual = read_model();
	begun = now();
	for (int round = 1; round <= CANARY_CONFIGS + 1; round++) {
		assert_int_equal(model_copy(&actual, &desired), 0);
		for (int i = 0; i < MANY; i++)
			desired.services[i].weight = round;
		if (dataplane_commit(env.dataplane, &actual, &desired, &error))
			fail_msg("%s", error.text);
		model_free(&actual);
		actual = desired;
	}
	fprintf(stderr, "  all weights, %d times: %.2f s\n", CANARY_CONFIGS + 1, now() - begun);
	/* A change waits a second, at most, for a record that packets may still read. */
	assert_true(now() - begun < 3 + (CANARY_CONFIGS + 1) * adding);
	model_free(&actual);
	env_refresh();
	for (int i = 0; i < MANY; i++)
		assert_int_equal(env.model.services[i].weight, CANARY_CONFIGS + 1);
	commit_many("all deleted", 0);
}

static void a_thousand_services_with_segments(void **state)
{
	(void)state;
	usleep(1100000);
	describe(500, 1, true);
	commit_many("1,000 services with 20 segments each", MANY);
	assert_int_equal(map_count("segments", sizeof(struct canary_segment_key)), SEGMENTS * MANY);
	commit_many("all deleted", 0);
}

static void a_full_table_of_services_takes_no_more(void **state)
{
	struct model none = {}, before, desired, after;
	struct error error;

	(void)state;
	usleep(1100000);
	describe(0, 1, false);
	for (int i = 0; i <= ALL; i++) {
		many[i].stable = "10.0.0.11";
		many[i].canary = NULL;
	}
	commit_many("as many services as fit", ALL);
	before = read_model();
	/* Those in neither model are left alone: this one is added to all others. */
	make_model(&many[ALL], 1, &none, &desired);
	assert_int_equal(dataplane_commit(env.dataplane, &none, &desired, &error), -ENOSPC);
	model_free(&desired);
	assert_non_null(strstr(error.text, "1023"));
	assert_non_null(strstr(error.text, "s1023"));
	after = read_model();
	assert_int_equal(after.service_count, ALL);
	for (int i = 0; i < ALL; i++) {
		assert_string_equal(after.services[i].name, before.services[i].name);
		assert_int_equal(after.services[i].word, before.services[i].word);
	}
	model_free(&before);
	model_free(&after);
	/* A change of what there is needs no place. */
	many[0].weight = 100;
	many[0].canary = "10.0.0.21";
	commit_many("a change", ALL);
	commit_many("all but one deleted", 1);
	commit_many("all deleted", 0);
}

/* A place that was given up a moment ago may still be read by a packet; a second later it can be had. */
static void a_full_table_has_room_again_after_deletions(void **state)
{
	(void)state;
	usleep(1100000);
	describe(0, 1, false);
	for (int i = 0; i <= ALL; i++) {
		many[i].stable = "10.0.0.11";
		many[i].canary = NULL;
	}
	commit_many("as many services as fit", ALL);
	commit_many("one goes", ALL - 1);
	usleep(1100000);
	many[ALL - 1] = many[ALL];
	commit_many("another comes", ALL);
	usleep(1100000);
	commit_many("all deleted", 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(more_changes_than_records_within_a_second),
		TEST(thousands_of_rings_leave_nothing_behind),
		TEST(another_versions_state_is_refused_with_a_sentence),
		TEST(a_thousand_services_come_change_and_go_at_once),
		TEST(a_thousand_services_change_more_often_than_they_have_records),
		TEST(a_thousand_services_with_segments),
		TEST(a_full_table_of_services_takes_no_more),
		TEST(a_full_table_has_room_again_after_deletions),
	};

	return RUN(tests);
}
