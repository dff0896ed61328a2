/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health checks: by TCP in every way of forwarding, by a command, and what all of them have in common.
 *
 * Runs first: it takes long, and waits nearly all the time.
 */
#include "lib_health.h"
#include "lib_model.h"
#include "lib_netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/health_frame.h"

static void test_tcp_with_nat_connects_to_the_backend(void **state)
{
	int fd;

	(void)state;
	netns_needed();
	fd = listen_there("10.1.0.2", 8080);
	assert_seen(check_once(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "10.1.0.2"),
			       (struct health_check){.port = 8080}),
		    HEALTH_GOOD, "");
	close(fd);
	assert_seen(check_once(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "10.1.0.2"),
			       (struct health_check){.port = 8080}),
		    HEALTH_BAD, "no connection: Connection refused");
	assert_seen(check_once(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "10.1.0.99"), (struct health_check){}),
		    HEALTH_BAD, "no answer in time");
	assert_seen(check_once(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "192.0.2.1"), (struct health_check){}),
		    HEALTH_BAD, "no connection: Network is unreachable");
}

/* Handshakes that the backend still believes in (/proc/net/tcp, state 3 is SYN_RECV). */
static int half_open_there(void)
{
	static const char *const names[] = {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"};
	int count = 0;

	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	for (size_t i = 0; i < 2; i++) {
		FILE *file = fopen(names[i], "r");
		char line[512];
		unsigned state;

		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, " %*d: %*s %*s %x", &state) == 1 && state == 3)
				count++;
		fclose(file);
	}
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	return count;
}

/* Good while it listens; refused when it does not; no answer when the service's address is not on it; RSTs clean up. */
static void try_all(enum canary_forward forward, const char *address, const char *prefix, const char *backend)
{
	struct health_target target = make_target(forward, address, backend);
	/* The first check of a backend may only have found out its link-layer address. */
	const struct health_check once = {.interval = 500, .timeout = 500};
	int fd = listen_there(address, 80);
	struct seen seen;

	check_once(target, once);
	for (int i = 0; i < 2; i++)
		assert_seen(check_once(target, once), HEALTH_GOOD, "");
	/* No connection was ever complete. */
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	/* The last RST may still be in the tunnel. Without one it would be seconds. */
	for (int i = 0; i < 50 && half_open_there(); i++)
		usleep(10000);
	assert_int_equal(half_open_there(), 0);
	close(fd);
	assert_seen(check_once(target, once), HEALTH_BAD, "it refuses connections to the service's address");
	netns_run(netns_there, "ip address del %s dev lo", prefix);
	/* With its own address it would answer. */
	fd = listen_there(backend, 80);
	seen = check_once(target, once);
	netns_run(netns_there, "ip address add %s dev lo", prefix);
	close(fd);
	assert_seen(seen, HEALTH_BAD, "");
}

static void test_tcp_with_l2_tries_the_services_address(void **state)
{
	(void)state;
	netns_needed();
	try_all(CANARY_FORWARD_L2, "203.0.113.10", "203.0.113.10/32", "10.1.0.2");
	try_all(CANARY_FORWARD_L2, "2001:db8:99::10", "2001:db8:99::10/128", "2001:db8:1::2");
}

static void test_tcp_with_ipip_tries_it_in_the_tunnel(void **state)
{
	(void)state;
	netns_needed();
	try_all(CANARY_FORWARD_IPIP, "203.0.113.10", "203.0.113.10/32", "10.1.0.2");
	try_all(CANARY_FORWARD_IPIP, "2001:db8:99::10", "2001:db8:99::10/128", "2001:db8:1::2");
	try_all(CANARY_FORWARD_IPIP, "203.0.113.10", "203.0.113.10/32", "2001:db8:1::2");
	try_all(CANARY_FORWARD_IPIP, "2001:db8:99::10", "2001:db8:99::10/128", "10.1.0.2");
}

static void test_tcp_with_gue_tries_it_in_the_tunnel(void **state)
{
	(void)state;
	netns_needed();
	try_all(CANARY_FORWARD_GUE, "203.0.113.10", "203.0.113.10/32", "10.1.0.2");
	assert_int_equal(gue_protocol, IPPROTO_IPIP);
	try_all(CANARY_FORWARD_GUE, "2001:db8:99::10", "2001:db8:99::10/128", "2001:db8:1::2");
	assert_int_equal(gue_protocol, IPPROTO_IPV6);
	try_all(CANARY_FORWARD_GUE, "203.0.113.10", "203.0.113.10/32", "2001:db8:1::2");
	assert_int_equal(gue_protocol, IPPROTO_IPIP);
	try_all(CANARY_FORWARD_GUE, "2001:db8:99::10", "2001:db8:99::10/128", "10.1.0.2");
	assert_int_equal(gue_protocol, IPPROTO_IPV6);
}

/* Answers every SYN for the service, as nobody on the host does, with these flags and a number that is off. */
static void answer_wrongly(int fd, __u8 flags, __u32 off)
{
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	struct frame asked, answer;
	__u8 packet[FRAME_MAX];
	ssize_t got = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &len);

	if (got < 0 || !frame_read(packet, got, &asked) || asked.flags != FRAME_SYN)
		return;
	answer = (struct frame){.tuple = {asked.tuple.destination, asked.tuple.source, asked.tuple.destination_port,
					  asked.tuple.source_port},
				.sequence = 1,
				.acknowledged = asked.sequence + 1 + off,
				.flags = flags};
	assert_true(sendto(fd, packet, frame_write(&answer, packet), 0, (struct sockaddr *)&from, len) > 0);
}

static struct seen check_answered(__u8 flags, __u32 off)
{
	struct health_target target = make_target(CANARY_FORWARD_L2, "203.0.113.10", "10.1.0.2");
	const struct health_check once = {.interval = 500, .timeout = 500};
	struct health_probe *probe;
	struct seen seen = {};
	struct error error;
	int fd;

	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, htons(ETH_P_IP));
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	assert_int_equal(health_probe_add(prober, &target, &once, note_report, &seen, &probe, &error), 0);
	for (int i = 0; i < 1000 && !seen.count; i++) {
		answer_wrongly(fd, flags, off);
		drive(&seen.count, 1, 1);
	}
	health_probe_remove(probe);
	close(fd);
	return seen;
}

static void test_only_an_answer_to_our_own_syn_counts(void **state)
{
	(void)state;
	netns_needed();
	netns_run(netns_there, "ip address del 203.0.113.10/32 dev lo");
	check_answered(FRAME_SYN | FRAME_ACK, 0);
	assert_seen(check_answered(FRAME_SYN | FRAME_ACK, 0), HEALTH_GOOD, "");
	assert_seen(check_answered(FRAME_RST | FRAME_ACK, 0), HEALTH_BAD, "it refuses");
	assert_seen(check_answered(FRAME_SYN | FRAME_ACK, 1), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_RST | FRAME_ACK, 1), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_SYN | FRAME_ACK, 0x10000), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_SYN, 0), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_ACK, 0), HEALTH_BAD, "no answer in time");
	netns_run(netns_there, "ip address add 203.0.113.10/32 dev lo");
}

static void test_a_backend_that_is_not_there_is_bad(void **state)
{
	(void)state;
	netns_needed();
	assert_seen(check_once(make_target(CANARY_FORWARD_L2, "203.0.113.10", "10.1.0.77"), (struct health_check){}),
		    HEALTH_BAD, "its link-layer address is not known: No route to host");
	assert_seen(check_once(make_target(CANARY_FORWARD_L2, "203.0.113.10", "192.0.2.7"), (struct health_check){}),
		    HEALTH_BAD, "there is no way to it: Network is unreachable");
	assert_seen(check_once(make_target(CANARY_FORWARD_IPIP, "203.0.113.10", "10.1.0.77"), (struct health_check){}),
		    HEALTH_BAD, "no answer in time");
}

static void test_a_command_says_what_it_says(void **state)
{
	static const struct {
		char *script;
		enum health_outcome outcome;
		const char *sentence;
	} cases[] = {
		{"exit 0", HEALTH_GOOD, ""},
		{"echo $CANARY_SERVICE $CANARY_ADDRESS $CANARY_BACKEND; exit 1", HEALTH_BAD,
		 "web 203.0.113.10:80 10.1.0.2:80"},
		{"exit 3", HEALTH_BAD, "the command ended with code 3"},
		{"exec sleep 9", HEALTH_BAD, "the command did not end in time"},
	};
	char *missing[] = {"/no/such/command", NULL};
	struct health_target target = make_target(CANARY_FORWARD_IPIP, "203.0.113.10", "10.1.0.2");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[] = {"sh", "-c", cases[i].script, NULL};

		assert_seen(check_once(target, (struct health_check){.kind = HEALTH_COMMAND, .argv = argv}),
			    cases[i].outcome, cases[i].sentence);
	}
	assert_seen(check_once(target, (struct health_check){.kind = HEALTH_COMMAND, .argv = missing}), HEALTH_UNKNOWN,
		    "/no/such/command: cannot be run");
}

static void test_checks_come_once_an_interval(void **state)
{
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	const struct health_check every = {.interval = 50, .timeout = 50};
	struct health_probe *probe;
	struct seen seen = {};
	struct error error;
	__s64 took;

	(void)state;
	assert_int_equal(health_probe_add(prober, &target, &every, note_report, &seen, &probe, &error), 0);
	drive(&seen.count, 21, 5000);
	took = seen.times[20] - seen.times[0];
	if (took < 20 * 50 - 10 || took > 20 * 50 + 300)
		fail_msg("20 intervals of 50 ms took %lld ms", took);
	health_probe_remove(probe);
	seen.count = 0;
	drive(&seen.count, 1, 150);
	assert_int_equal(seen.count, 0);
}

static struct health_probe *many[300];
static int reports;

/* Each report removes this probe and the next one, and puts another in its place. */
static void replace(const struct health_report *report, void *arg)
{
	const struct health_check once = {.interval = 20, .timeout = 20};
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	size_t here = (size_t)((struct health_probe **)arg - many), next = (here + 1) % 300;
	struct error error;

	(void)report;
	reports++;
	health_probe_remove(many[here]);
	health_probe_remove(many[next]);
	many[next] = NULL;
	assert_int_equal(health_probe_add(prober, &target, &once, replace, arg, &many[here], &error), 0);
}

static void test_probes_may_come_and_go_in_a_report(void **state)
{
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	const struct health_check once = {.interval = 20, .timeout = 20};
	struct error error;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(health_probe_add(prober, &target, &once, replace, &many[i], &many[i], &error), 0);
	drive(&reports, 2000, 10000);
	assert_true(reports >= 2000);
	for (size_t i = 0; i < 300; i++)
		health_probe_remove(many[i]);
}

static void note_no_answer(const struct health_report *report, void *arg)
{
	int *counts = arg;

	counts[strcmp(report->sentence, "no answer in time") == 0]++;
}

static void test_after_a_pause_what_came_counts(void **state)
{
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	const struct health_check every = {.interval = 1000, .timeout = 50};
	struct health_probe *probes[200];
	int counts[2] = {};
	struct error error;

	(void)state;
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(health_probe_add(prober, &target, &every, note_no_answer, counts, &probes[i], &error),
				 0);
	usleep(1000000);
	health_prober_run(prober); /* all begin */
	usleep(60000);
	health_prober_run(prober);
	assert_int_equal(counts[0], 200);
	assert_int_equal(counts[1], 0);
	for (size_t i = 0; i < 200; i++)
		health_probe_remove(probes[i]);
}

/* CPU time in ns that two seconds take where so many are checked, each once in ten. */
static __s64 cost_of(size_t count)
{
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	const struct health_check seldom = {.interval = 10000, .timeout = 1000};
	struct health_probe **probes = calloc(count, sizeof(struct health_probe *));
	struct timespec before, after;
	struct seen seen = {};
	struct error error;

	assert_non_null(probes);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(health_probe_add(prober, &target, &seldom, note_report, &seen, &probes[i], &error), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	drive(&seen.count, INT_MAX, 2000);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	assert_true(seen.count > (int)count / 10);
	for (size_t i = 0; i < count; i++)
		health_probe_remove(probes[i]);
	free(probes);
	drive(&seen.count, INT_MAX, 1);
	return (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
}

static void test_checks_cost_in_proportion_to_their_number(void **state)
{
	__s64 few = cost_of(3000), four_times = cost_of(12000);

	(void)state;
	if (four_times > 6 * few)
		fail_msg("3,000 take %lld us, 12,000 take %lld us", few / 1000, four_times / 1000);
}

#define CHECK(name, every, within, ...)                                                                                \
	{                                                                                                              \
		.kind = HEALTH_##name, .interval = (every), .timeout = (within), __VA_ARGS__                           \
	}

static void test_checks_that_make_no_sense_are_refused(void **state)
{
	static char fits[1001], too_long[1201];
	static const struct {
		enum canary_forward forward;
		struct health_check check;
		int port, code;
		const char *sentence;
	} cases[] = {
		{CANARY_FORWARD_L2, CHECK(HTTP, 100, 100, .host = fits), 80, 0, ""},
		{CANARY_FORWARD_L2, CHECK(HTTP, 100, 100, .host = too_long), 80, -EINVAL,
		 "longer than one segment, 1220"},
		{CANARY_FORWARD_NAT, CHECK(HTTP, 100, 100, .host = too_long), 80, 0, ""},
		{CANARY_FORWARD_GUE, CHECK(HTTP, 100, 100), 0, -EINVAL, "web: is on every port: say which one"},
		{CANARY_FORWARD_L2, CHECK(TCP, 100, 100), 0, -EINVAL, "web: is on every port: say which one"},
		{CANARY_FORWARD_NAT, CHECK(TCP, 100, 101), 80, -EINVAL, "timeout is at least 1 ms, and at most"},
		{CANARY_FORWARD_NAT, CHECK(TCP, 0, 0), 80, -EINVAL, "timeout is at least 1 ms, and at most"},
		{CANARY_FORWARD_NAT, CHECK(COMMAND, 100, 100), 80, -EINVAL, "the check has no command"},
		{CANARY_FORWARD_NAT, CHECK(HTTP, 100, 100, .path = "x"), 80, -EINVAL, "path begins with a '/'"},
		{CANARY_FORWARD_L2, CHECK(TCP, 100, 100, .port = 8080), 0, 0, ""},
	};

	(void)state;
	memset(fits, 'a', sizeof(fits) - 1);
	memset(too_long, 'a', sizeof(too_long) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct health_target target = make_target(cases[i].forward, "203.0.113.10", "10.1.0.2");
		struct error error = {};

		target.port = cases[i].port;
		assert_int_equal(health_check_allowed(&target, &cases[i].check, &error), cases[i].code);
		if (!strstr(error.text, cases[i].sentence))
			fail_msg("%s", error.text);
	}
	health_probe_remove(NULL);
	health_prober_close(NULL);
}

static void test_frames_are_read_as_they_were_written(void **state)
{
	static const char *const addresses[][2] = {{"10.1.0.1", "203.0.113.10"}, {"2001:db8::1", "2001:db8:99::10"}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct frame written = {.tuple = {make_addr(addresses[i][0]), make_addr(addresses[i][1]), 40000, 80},
					.sequence = 0xfedcba98,
					.acknowledged = 0x01234567,
					.flags = FRAME_SYN | FRAME_ACK},
			     read = {};
		__u8 packet[FRAME_MAX];
		size_t len = frame_write(&written, packet);

		assert_true(frame_read(packet, len, &read));
		assert_memory_equal(&read.tuple, &written.tuple, sizeof(read.tuple));
		assert_int_equal(read.sequence, written.sequence);
		assert_int_equal(read.acknowledged, written.acknowledged);
		assert_int_equal(read.flags, written.flags);
		/* Without its options it is whole; without a byte more it is not. */
		assert_true(frame_read(packet, len - 4, &read));
		for (size_t cut = 0; cut < len - 4; cut++)
			assert_false(frame_read(packet, cut, &read));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_with_nat_connects_to_the_backend),
		cmocka_unit_test(test_tcp_with_l2_tries_the_services_address),
		cmocka_unit_test(test_tcp_with_ipip_tries_it_in_the_tunnel),
		cmocka_unit_test(test_tcp_with_gue_tries_it_in_the_tunnel),
		cmocka_unit_test(test_only_an_answer_to_our_own_syn_counts),
		cmocka_unit_test(test_a_backend_that_is_not_there_is_bad),
		cmocka_unit_test(test_a_command_says_what_it_says),
		cmocka_unit_test(test_checks_come_once_an_interval),
		cmocka_unit_test(test_probes_may_come_and_go_in_a_report),
		cmocka_unit_test(test_after_a_pause_what_came_counts),
		cmocka_unit_test(test_checks_cost_in_proportion_to_their_number),
		cmocka_unit_test(test_checks_that_make_no_sense_are_refused),
		cmocka_unit_test(test_frames_are_read_as_they_were_written),
	};

	return cmocka_run_group_tests(tests, health_set_up, health_tear_down);
}
