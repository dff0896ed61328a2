/* SPDX-License-Identifier: Apache-2.0 */
/* What commands write down: what a change did, in order, once each; and the ring that keeps it. */
#include "lib_run.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"
#include "core/text.h"

#define WEB(...) CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, __VA_ARGS__})

static struct {
	struct canary_event list[CANARY_EVENTS + 10];
	unsigned count;
	__u64 last, lost;
} seen;

static int keep(const struct canary_event *event, void *limit)
{
	assert_true(seen.count < CANARY_EVENTS + 10);
	seen.list[seen.count++] = *event;
	return limit && seen.count == *(unsigned *)limit ? 77 : 0;
}

/* Those that came since the last call. */
static void look(void)
{
	seen.count = 0;
	assert_int_equal(dataplane_events(env.dataplane, seen.last, keep, NULL, &seen.last, &seen.lost), 0);
}

static void skip_what_is_there(void)
{
	seen.last = 0;
	look();
}

static void happened(const char *types)
{
	char got[1024] = "";

	look();
	assert_int_equal(seen.lost, 0);
	for (unsigned i = 0; i < seen.count; i++) {
		const struct canary_event *event = &seen.list[i];
		size_t len = strlen(got);

		snprintf(got + len, sizeof(got) - len, "%s%s:%s", i ? " " : "", event->name,
			 event_type_name(event->type));
		assert_int_equal(event->number, seen.last - seen.count + 1 + i);
		assert_int_equal(event->uid, getuid());
		assert_true(event->time_ns > 0);
		assert_true(!i || event->time_ns >= event[-1].time_ns);
	}
	assert_string_equal(got, types);
}

static void values(unsigned at, __u64 a, __u64 b, __u64 c, __u64 d)
{
	const __u64 want[4] = {a, b, c, d};

	assert_true(at < seen.count);
	assert_memory_equal(seen.list[at].value, want, sizeof(want));
}

static void backend_values(unsigned at, const char *host, int port, enum canary_cohort cohort, unsigned state)
{
	struct canary_addr addr = make_addr(host);
	__u64 words[2];

	memcpy(words, &addr, sizeof(addr));
	values(at, words[0], words[1], port | cohort << 16 | state << 24, 0);
}

static void attachments_are_told_of(void **state)
{
	(void)state;
	seen.last = 0;
	happened("front:attached back:attached");
	values(0, env.interfaces[FRONT].ifindex, 0, 0, 0);
	values(1, env.interfaces[BACK].ifindex, 0, 0, 0);
}

static void each_change_is_told_once(void **state)
{
	(void)state;
	skip_what_is_there();
	WEB(.stable = "10.0.0.11", .weight = 0);
	happened("web:service_added");
	values(0, 0, 0, 0, 0);
	assert_int_equal(seen.list[0].epoch, 1);
	WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 500);
	happened("web:weight_changed web:backend_added");
	values(0, 0, 500, find_service("web")->assignment, 0);
	backend_values(1, "10.0.0.21", 80, CANARY_CANARY, 1);
	assert_int_equal(seen.list[0].epoch, 2);
	assert_int_equal(seen.list[1].epoch, 2);
	WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 500); /* nothing */
	happened("");
	WEB(.stable = "10.0.0.11 !10.0.0.12", .canary = "10.0.0.21*3", .weight = 500);
	happened("web:backend_added web:backend_changed");
	backend_values(0, "10.0.0.12", 80, CANARY_STABLE, 2);
	backend_values(1, "10.0.0.21", 80, CANARY_CANARY, 1);
	WEB(.stable = "10.0.0.12", .canary = "10.0.0.21*3", .weight = 500, .segments = "198.51.100.0/24>canary");
	happened("web:backend_deleted web:backend_changed web:service_changed");
	backend_values(0, "10.0.0.11", 80, CANARY_STABLE, 0);
	configure(NULL, 0);
	happened("web:service_deleted");
}

static void overflow_values(unsigned at, const char *host, unsigned state, __u64 share_and_fate)
{
	struct canary_addr addr = make_addr(host);
	__u64 words[2];

	memcpy(words, &addr, sizeof(addr));
	values(at, words[0], words[1], 80 | CANARY_CANARY << 16 | state << 24, share_and_fate);
}

/* Once where it begins and once where it ends, whatever does it. */
static void an_overflow_is_told_as_it_begins_and_ends(void **state)
{
	(void)state;
	WEB(.stable = "10.0.0.11", .canary = "10.0.0.21 10.0.0.22", .weight = 500);
	skip_what_is_there();
	WEB(.stable = "10.0.0.11", .canary = "!10.0.0.21 10.0.0.22", .weight = 500); /* one is left */
	happened("web:backend_changed");
	WEB(.stable = "10.0.0.11", .canary = "!10.0.0.21 !10.0.0.22", .weight = 500);
	happened("web:backend_changed web:overflow_begun");
	overflow_values(1, "10.0.0.22", 2, 500);
	WEB(.stable = "10.0.0.11", .canary = "!10.0.0.21 !10.0.0.22", .weight = 1000);
	happened("web:weight_changed"); /* it goes on */
	WEB(.stable = "10.0.0.11", .canary = "!10.0.0.21 !10.0.0.22", .weight = 1000, .overflow = CANARY_OVERFLOW_DROP);
	happened("web:service_changed web:overflow_begun"); /* elsewhere */
	values(1, 0, 0, CANARY_CANARY << 16, 1000 | 1ULL << 32);
	WEB(.stable = "10.0.0.11", .canary = "10.0.0.21 !10.0.0.22", .weight = 1000, .overflow = CANARY_OVERFLOW_DROP);
	happened("web:backend_changed web:overflow_ended");
	overflow_values(1, "10.0.0.21", 1, 1000 | 1ULL << 32);
	WEB(.stable = "10.0.0.11", .canary = "!10.0.0.22", .weight = 1000);
	happened("web:backend_deleted web:service_changed web:overflow_begun");
	overflow_values(2, "10.0.0.21", 0, 1000);
	WEB(.stable = "10.0.0.11", .canary = "!10.0.0.22", .weight = 0);
	happened("web:weight_changed web:overflow_ended");
	values(1, 0, 0, CANARY_CANARY << 16, 1000);
	WEB(.stable = "10.0.0.11", .canary = "!10.0.0.22", .weight = 0, .segments = "198.51.100.0/24>canary");
	happened("web:service_changed web:overflow_begun");
	values(1, 0, 0, CANARY_CANARY << 16, 0);
	configure(NULL, 0);
	happened("web:service_deleted");
	WEB(.stable = "10.0.0.11", .weight = 5000);
	happened("web:service_added web:overflow_begun");
	values(1, 0, 0, CANARY_CANARY << 16, 5000);
}

static void a_new_salt_and_a_repeated_weight_are_assignments(void **state)
{
	struct model actual, desired;
	struct error error;

	(void)state;
	WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 500);
	skip_what_is_there();
	actual = read_model();
	assert_int_equal(model_copy(&actual, &desired), 0);
	desired.services[0].assignment++;
	desired.services[0].salt_number++;
	desired.services[0].salt = 0;
	desired.services[0].reset_after = 30;
	assert_int_equal(dataplane_commit(env.dataplane, &actual, &desired, &error), 0);
	happened("web:weight_changed");
	values(0, 500, 500, desired.services[0].assignment, 1);
	model_free(&actual);
	model_free(&desired);
	env_refresh();
}

static void a_refused_change_is_not_told(void **state)
{
	static const struct service other = {.name = "web", .endpoint = VIP ":80", .stable = "10.0.0.12"};
	struct model none = {}, desired;
	struct error error;

	(void)state;
	WEB(.stable = "10.0.0.11", .weight = 0);
	skip_what_is_there();
	make_model(&other, 1, &none, &desired);
	assert_int_not_equal(dataplane_commit(env.dataplane, &none, &desired, &error), 0);
	model_free(&desired);
	happened("");
}

static void the_ring_says_what_was_lost(void **state)
{
	struct canary_event event = {.type = CANARY_EVENT_SERVICE_CHANGED};
	unsigned three = 3;
	__u64 before, last, lost;

	(void)state;
	skip_what_is_there();
	before = seen.last;
	for (unsigned i = 0; i < CANARY_EVENTS + 7; i++) {
		event.value[0] = i;
		dataplane_put_event(env.dataplane, &event);
	}
	look();
	assert_int_equal(seen.lost, 7);
	assert_int_equal(seen.count, CANARY_EVENTS);
	assert_int_equal(seen.last, before + CANARY_EVENTS + 7);
	for (unsigned i = 0; i < CANARY_EVENTS; i++)
		assert_int_equal(seen.list[i].value[0], 7 + i);
	look();
	assert_int_equal(seen.count + seen.lost, 0);
	/* Who had enough stops. */
	assert_int_equal(dataplane_events(env.dataplane, seen.last - 10, keep, &three, &last, &lost), 77);
	assert_int_equal(seen.count, 3);
	assert_int_equal(last, seen.last);
	assert_int_equal(lost, 0);
}

/* Whoever took a number and was killed leaves a gap, and holds nobody up. */
static void an_event_that_was_never_written_is_lost(void **state)
{
	struct canary_event event = {.type = CANARY_EVENT_SERVICE_CHANGED};
	__u32 zero = 0;
	__u64 head;
	int fd = open_pin("event_head");

	(void)state;
	skip_what_is_there();
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &head), 0);
	head++;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &head, BPF_ANY), 0);
	close(fd);
	dataplane_put_event(env.dataplane, &event);
	look();
	assert_int_equal(seen.lost, 1);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.list[0].number, head + 1);
}

/* Many at once: each event whole, each number once. */
static void writers_do_not_mix(void **state)
{
	enum { WRITERS = 4, EACH = 500 };
	unsigned of[WRITERS] = {};
	pid_t children[WRITERS];

	(void)state;
	skip_what_is_there();
	for (int i = 0; i < WRITERS; i++) {
		struct canary_event event = {.type = CANARY_EVENT_SERVICE_CHANGED, .value = {i, i, i, i}};

		children[i] = fork();
		if (children[i])
			continue;
		memset(event.name, 'a' + i, sizeof(event.name) - 1);
		for (int j = 0; j < EACH; j++)
			dataplane_put_event(env.dataplane, &event);
		_exit(0);
	}
	for (int i = 0; i < WRITERS; i++) {
		int status;

		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	look();
	assert_int_equal(seen.count, WRITERS * EACH);
	for (unsigned i = 0; i < seen.count; i++) {
		__u64 who = seen.list[i].value[0];

		assert_true(who < WRITERS);
		values(i, who, who, who, who);
		assert_int_equal(seen.list[i].name[CANARY_NAME_LEN - 2], 'a' + who);
		of[who]++;
	}
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(of[i], EACH);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(attachments_are_told_of),
		TEST(each_change_is_told_once),
		TEST(an_overflow_is_told_as_it_begins_and_ends),
		TEST(a_new_salt_and_a_repeated_weight_are_assignments),
		TEST(a_refused_change_is_not_told),
		TEST(the_ring_says_what_was_lost),
		TEST(an_event_that_was_never_written_is_lost),
		TEST(writers_do_not_mix),
	};

	return RUN(tests);
}
