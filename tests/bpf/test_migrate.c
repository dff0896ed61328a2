/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade of maps of the ABI before. Such maps are made of this one's: without the map that is new, and with the older
 * number. What is new in records and counters is zero there.
 */
#include "lib_run.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"

#define FLOWS 40

static const char *const new_maps[] = {"capture", "capture_cpus", "capture_out"};
enum { NEW_MAPS = sizeof(new_maps) / sizeof(*new_maps) };

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

/*
 * Makes a state of the ABI before, of which some of the new maps are there already: an upgrade was killed. Returns what
 * was configured.
 */
static struct model make_older(unsigned present)
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
	for (unsigned i = present; i < NEW_MAPS; i++)
		unlink_pin(new_maps[i]);
	write_abi(CANARY_ABI_PREVIOUS);
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

static void what_is_older_is_refused_and_says_what_to_do(void **state)
{
	static const enum dataplane_access accesses[] = {DATAPLANE_READ, DATAPLANE_CHANGE, DATAPLANE_CREATE};
	struct dataplane *dataplane = NULL;
	struct model before = make_older(0);
	struct error error;

	(void)state;
	model_free(&before);
	for (int i = 0; i < 3; i++) {
		error.text[0] = 0;
		assert_int_equal(dataplane_open(env.dir, accesses[i], &dataplane, &error), -EPROTO);
		assert_non_null(strstr(error.text, "ABI 4"));
		assert_non_null(strstr(error.text, "'canaryctl upgrade'"));
		assert_null(strchr(error.text, '\n'));
	}
	env_upgrade();
}

static void an_upgrade_keeps_all_and_adds_what_is_new(void **state)
{
	(void)state;
	/* Killed at any moment, it is completed by the next. */
	for (unsigned present = 0; present <= NEW_MAPS; present++) {
		struct model before = make_older(present);
		unsigned hosts[FLOWS], flows;
		struct canary_cohort_counters counters, counters_now;
		const struct service_model *web;

		env_upgrade();
		assert_kept(&before);
		assert_int_equal(read_abi(), CANARY_ABI_VERSION);
		assert_told();
		/* The connections are where they were, and counted. */
		flows = established_flows();
		assert_int_equal(flows, FLOWS);
		web = find_service("web");
		assert_int_equal(dataplane_cohort_counters(env.dataplane, web->id, CANARY_CANARY, &counters), 0);
		assert_true(counters.count[CANARY_COHORT_FLOWS] > 0);
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
	assert_int_equal(read_abi(), CANARY_ABI_PREVIOUS);
}

/* As a command of the ABI before does it. */
static void add_by_an_older_command(void)
{
	struct error error;

	write_abi(CANARY_ABI_VERSION);
	if (dataplane_open(env.dir, DATAPLANE_CHANGE, &env.dataplane, &error))
		fail_msg("%s", error.text);
	CONFIGURE({.name = "late", .endpoint = VIP ":8443", .stable = "10.0.0.13:443"});
	dataplane_close(env.dataplane);
	env.dataplane = NULL;
	write_abi(CANARY_ABI_PREVIOUS);
}

/* Both ways of the service that came late. */
static void late_is_served(unsigned sport)
{
	const struct spec request = {.src = CLIENT, .dst = VIP, .sport = sport, .dport = 8443, .flags = SYN};
	const struct spec answer = {.from_mac = "10.0.0.13",
				    .to_mac = "back",
				    .src = "10.0.0.13",
				    .dst = CLIENT,
				    .sport = 443,
				    .dport = sport,
				    .flags = SYN | ACK};

	assert_int_equal(redirected_to(&request), 13);
	run_redirected(BACK, &answer);
}

static void what_an_older_command_adds_to_a_half_done_upgrade_is_served(void **state)
{
	struct model before = make_older(0);

	(void)state;
	model_free(&before);
	upgrade_in_part();
	add_by_an_older_command();
	close(env.program);
	env.program = open_pin("canary_xdp");
	late_is_served(2000);
	env_upgrade();
	late_is_served(2001);
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
		TEST(what_an_older_command_adds_to_a_half_done_upgrade_is_served),
		TEST(an_upgrade_within_an_abi_keeps_settings),
	};

	return RUN(tests);
}
