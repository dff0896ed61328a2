/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to an assignment and outlives every other change: a stop, the lease, the clients that failed. Runs first: it
 * takes long.
 */
#include "lib_run.h"
#include "lib_wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"

#define WEB(forward_by, ...)                                                                                           \
	CONFIGURE({.name = "web",                                                                                      \
		   .endpoint = VIP ":80",                                                                              \
		   .forward = CANARY_FORWARD_##forward_by,                                                             \
		   .stable = "10.0.0.11 10.0.0.12",                                                                    \
		   .canary = "10.0.0.21",                                                                              \
		   __VA_ARGS__})

enum { FAILED_WORDS = CANARY_THRESHOLD_ONE / 64 };

/* The running configuration with an edit of its one service: the error of the commit. */
static int commit_from(const struct model *actual, void (*edit)(struct service_model *service))
{
	struct model desired;
	struct error error;
	int result;

	assert_int_equal(model_copy(actual, &desired), 0);
	edit(desired.services);
	result = dataplane_commit(env.dataplane, actual, &desired, &error);
	model_free(&desired);
	env_refresh();
	return result;
}

static void commit(void (*edit)(struct service_model *service))
{
	struct model actual = read_model();

	assert_int_equal(commit_from(&actual, edit), 0);
	model_free(&actual);
}

static void stop(struct service_model *service)
{
	service->begin_stopped = true;
}

static void add_backend(struct service_model *service)
{
	struct backend_model *backend = service_add_backend(service);

	assert_non_null(backend);
	backend->addr = make_addr("10.0.0.13");
	backend->port = 80;
}

/* With a window that stays open for all packets that are sent, on a slow machine too. */
static void add_backend_for_a_while(struct service_model *service)
{
	add_backend(service);
	service->idle_timeout = 60;
}

static void change_a_setting(struct service_model *service)
{
	service->breaker_ratio++;
}

static void assign_the_same(struct service_model *service)
{
	service->assignment++;
}

static void assign_nothing(struct service_model *service)
{
	service->assignment++;
	service->weight = 0;
}

static __u64 word(void)
{
	return find_service("web")->word;
}

static struct canary_config config_now(void)
{
	__u32 key = find_service("web")->id * CANARY_CONFIGS + canary_word_now(word());
	struct canary_config config;

	read_tables(offsetof(struct canary_tables, configs[key]), &config, sizeof(config));
	return config;
}

static bool stopped(void)
{
	return guard_now().stopped && word() & CANARY_WORD_STOPPED;
}

/* With an idle_timeout of a second. */
static void wait_for_the_window(void)
{
	for (int i = 0; i < 100 && word() & CANARY_WORD_OPEN; i++) {
		usleep(100000);
		env_refresh();
	}
	assert_false(word() & CANARY_WORD_OPEN);
}

/* The last number of the address of the host that gets a packet in the middle of a flow. */
static unsigned host_of(unsigned sport)
{
	struct spec spec = {.src = CLIENT, .dst = VIP, .sport = sport, .dport = 80, .flags = ACK, .seq = 1};

	return redirected_to(&spec);
}

static void a_stop_outlives_all_but_an_assignment(void **state)
{
	__u64 epoch;

	(void)state;
	WEB(L2, .weight = 5000);
	assert_false(stopped());
	commit(stop);
	assert_true(stopped());
	assert_int_equal(guard_now().reason, CANARY_STOP_NONE);
	commit(add_backend);
	assert_true(stopped());
	commit(change_a_setting);
	assert_true(stopped());
	epoch = canary_word_epoch(word());
	WEB(L2, .weight = 5000); /* what an apply does: the added backend goes again */
	assert_true(stopped());
	assert_int_equal(canary_word_epoch(word()), epoch + 1);
	assert_int_equal(find_service("web")->weight, 5000);
	commit(assign_the_same);
	assert_false(stopped());
	assert_int_equal(find_service("web")->weight, 5000);
}

static void a_service_may_begin_stopped(void **state)
{
	struct model actual = read_model(), desired;
	static const struct service web = {.name = "web",
					   .endpoint = VIP ":80",
					   .forward = CANARY_FORWARD_L2,
					   .stable = "10.0.0.11",
					   .canary = "10.0.0.21",
					   .weight = 10000};
	struct error error;

	(void)state;
	make_model(&web, 1, &actual, &desired);
	desired.services[0].begin_stopped = true;
	assert_int_equal(dataplane_commit(env.dataplane, &actual, &desired, &error), 0);
	env_refresh();
	assert_true(stopped());
	assert_false(word() & CANARY_WORD_OPEN);
	assert_int_equal(host_of(1000), 11);
	commit(assign_the_same);
	assert_false(stopped());
	model_free(&actual);
	model_free(&desired);
}

/* With the window closed, a record takes the place of the bit: flows of before the change stay where they were. */
static void a_change_of_a_stopped_service_keeps_its_flows(void **state)
{
	struct model oldest;
	struct error error;
	unsigned before[200];
	int elsewhere = 0;

	(void)state;
	WEB(L2, .weight = 10000, .idle_timeout = 1);
	commit(stop);
	wait_for_the_window();
	assert_true(stopped());
	for (int i = 0; i < 200; i++) {
		before[i] = host_of(1000 + i);
		assert_int_not_equal(before[i], 21);
	}
	commit(add_backend_for_a_while);
	assert_true(stopped());
	assert_true(word() & CANARY_WORD_OPEN);
	assert_int_not_equal(canary_word_oldest(word()), canary_word_now(word()));
	assert_int_equal(dataplane_read_oldest(env.dataplane, find_service("web"), &oldest, &error), 0);
	assert_int_equal(oldest.services[0].weight, 0);
	assert_int_equal(oldest.services[0].backend_count, 3);
	model_free(&oldest);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(host_of(1000 + i), before[i]);
		elsewhere += chosen("web", CLIENT, 1000 + i, 80)->addr.word[3] >> 24 != before[i];
	}
	assert_true(elsewhere > 10); /* the change would have moved them */
	/* The older view is that of the stop also when the assignment ends it. */
	commit(assign_the_same);
	assert_false(stopped());
	for (int i = 0; i < 200; i++)
		assert_int_equal(host_of(1000 + i), before[i]);
}

static void lease_of_a_second(struct service_model *service)
{
	service->assignment++;
	service->lease = 1;
}

/* What the kernel does between a command's look and its change is no reason to refuse it: not for the emergency brake. */
static void the_kernel_may_act_in_between(void **state)
{
	static void (*const edits[])(struct service_model *) = {assign_nothing, add_backend, assign_the_same};

	(void)state;
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		struct model actual;

		WEB(L2, .weight = 5000, .idle_timeout = 1);
		commit(lease_of_a_second);
		actual = read_model();
		assert_int_equal(actual.services[0].word & CANARY_WORD_STOPPED, 0);
		wait_until(stopped, "the lease to end");
		assert_int_equal(commit_from(&actual, edits[i]), 0);
		assert_int_equal(stopped(), edits[i] == add_backend);
		model_free(&actual);
		/* ... and the window that the stop had opened closes. */
		actual = read_model();
		assert_true(word() & CANARY_WORD_OPEN);
		wait_for_the_window();
		assert_int_equal(commit_from(&actual, change_a_setting), 0);
		model_free(&actual);
	}
}

static void a_deletion_after_the_kernel_acted(void **state)
{
	struct model actual, none = {};
	struct error error;

	(void)state;
	WEB(L2, .weight = 5000);
	commit(lease_of_a_second);
	actual = read_model();
	wait_until(stopped, "the lease to end");
	assert_int_equal(dataplane_commit(env.dataplane, &actual, &none, &error), 0);
	env_refresh();
	assert_int_equal(env.model.service_count, 0);
	model_free(&actual);
}

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void long_lease(struct service_model *service)
{
	service->assignment++;
	service->lease = 600;
}

static void lease_by_default(struct service_model *service)
{
	service->assignment++;
	service->lease_default = 60;
	service->lease = LEASE_UNSET;
}

static void no_lease(struct service_model *service)
{
	service->assignment++;
	service->lease = 0;
}

static void expires_in(unsigned seconds)
{
	__u64 left = guard_now().lease_expires_ns - now_ns();

	assert_true(left <= seconds * 1000000000ULL);
	assert_true(left > seconds * 1000000000ULL - 900000000ULL);
}

static void a_lease_is_its_assignments(void **state)
{
	struct error error;
	__u64 expires;

	(void)state;
	WEB(L2, .weight = 5000);
	assert_int_equal(guard_now().lease_expires_ns, 0);
	assert_int_equal(dataplane_renew_lease(env.dataplane, find_service("web"), 0, &error), -ENOENT);
	commit(long_lease);
	assert_int_equal(find_service("web")->lease, 600);
	expires_in(600);
	expires = guard_now().lease_expires_ns;
	commit(add_backend);
	WEB(L2, .weight = 5000, .lease = 90); /* is of the assignments that follow */
	assert_int_equal(find_service("web")->lease, 600);
	assert_int_equal(find_service("web")->lease_default, 90);
	assert_int_equal(guard_now().lease_expires_ns, expires);
	assert_false(guard_now().lease_expired);
	assert_int_equal(dataplane_renew_lease(env.dataplane, find_service("web"), 1200, &error), 0);
	expires_in(1200);
	commit(change_a_setting);
	expires_in(1200);
	/* The renewal was of the assignment before. */
	commit(lease_by_default);
	assert_int_equal(find_service("web")->lease, 60);
	expires_in(60);
	commit(no_lease);
	assert_int_equal(guard_now().lease_expires_ns, 0);
}

/* The bitmap's words in the arena; with `write` one of them is set. */
static unsigned failed_buckets(__u32 base, bool write)
{
	int fd = open_pin("arena");
	unsigned set = 0;
	__u64 bits = 1ULL << 7;
	__u32 key = base + 500;

	assert_true(base > 0);
	if (write)
		assert_int_equal(bpf_map_update_elem(fd, &key, &bits, BPF_ANY), 0);
	for (key = base; key < base + FAILED_WORDS; key++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &bits), 0);
		set += __builtin_popcountll(bits);
	}
	close(fd);
	return set;
}

static void failed_clients_are_of_one_assignment(void **state)
{
	__u32 failed;

	(void)state;
	WEB(L2, .weight = 5000);
	assert_int_equal(config_now().failed, 0);
	WEB(L2, .weight = 5000, .affinity = CANARY_AFFINITY_CLIENT);
	failed = config_now().failed;
	assert_int_equal(failed_buckets(failed, false), 0);
	failed_buckets(failed, true);
	commit(add_backend);
	commit(change_a_setting);
	assert_int_equal(config_now().failed, failed);
	assert_int_equal(failed_buckets(failed, false), 1);
	commit(assign_the_same);
	assert_int_not_equal(config_now().failed, failed);
	assert_int_equal(failed_buckets(config_now().failed, false), 0);
	/* Where nothing is watched, nothing fails. */
	failed = config_now().failed;
	commit(assign_nothing);
	assert_int_equal(config_now().failed, failed);
	WEB(L2, .weight = 0);
	assert_int_equal(config_now().failed, 0);
}

/* Whatever else is placed in the arena, the bitmap in force is let be. */
static void the_bitmap_is_taken(void **state)
{
	__u32 failed;

	(void)state;
	WEB(L2, .weight = 5000, .affinity = CANARY_AFFINITY_CLIENT);
	failed = config_now().failed;
	failed_buckets(failed, true);
	for (int i = 0; i < 60; i++) {
		struct service other = {.name = "other",
					.endpoint = VIP ":81",
					.forward = CANARY_FORWARD_L2,
					.affinity = CANARY_AFFINITY_CLIENT,
					.stable = "10.0.0.11",
					.canary = "10.0.0.21",
					.weight = 100 + i};
		struct model none = {}, desired;
		struct error error;

		make_model(&other, 1, &none, &desired);
		assert_int_equal(dataplane_commit(env.dataplane, &none, &desired, &error), 0);
		assert_int_equal(dataplane_commit(env.dataplane, &desired, &none, &error), 0);
		model_free(&desired);
	}
	env_refresh();
	assert_int_equal(config_now().failed, failed);
	assert_int_equal(failed_buckets(failed, false), 1);
}

/* Which maps' elements a service has depends on what can be seen of it. */
static void only_what_can_be_seen_takes_memory(void **state)
{
	struct canary_histogram histogram;
	struct canary_outcomes outcomes;

	(void)state;
	WEB(L2, .weight = 5000);
	assert_int_equal(map_count("outcomes", 4), 1);
	assert_int_equal(map_count("histograms", 8), 2);
	assert_int_equal(dataplane_histogram(env.dataplane, find_service("web"), CANARY_CANARY,
					     CANARY_HISTOGRAM_SYN_ACK, &histogram),
			 -ENOENT);
	WEB(NAT, .weight = 5000);
	assert_int_equal(map_count("histograms", 8), 6);
	assert_int_equal(dataplane_histogram(env.dataplane, find_service("web"), CANARY_CANARY,
					     CANARY_HISTOGRAM_SYN_ACK, &histogram),
			 0);
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	assert_int_equal(outcomes.epochs[canary_word_epoch(word()) % CANARY_EPOCHS].epoch, canary_word_epoch(word()));
	WEB(IPIP, .weight = 5000);
	assert_int_equal(map_count("histograms", 8), 2);
	WEB(L2, .weight = 5000, .proto = IPPROTO_UDP);
	assert_int_equal(map_count("outcomes", 4) + map_count("histograms", 8), 0);
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), -ENOENT);
	configure(NULL, 0);
	assert_int_equal(map_count("outcomes", 4) + map_count("histograms", 8), 0);
}

static unsigned count_time(bool write)
{
	struct canary_histogram_key key = {
		.service = find_service("web")->id, .cohort = CANARY_CANARY, .kind = CANARY_HISTOGRAM_HANDSHAKE};
	struct canary_histogram histogram;
	int fd = open_pin("histograms");

	assert_int_equal(bpf_map_lookup_elem(fd, &key, &histogram), 0);
	if (write) {
		histogram.count[17] = 5;
		assert_int_equal(bpf_map_update_elem(fd, &key, &histogram, BPF_ANY), 0);
	}
	close(fd);
	return histogram.count[17];
}

static void times_are_of_one_assignment(void **state)
{
	(void)state;
	WEB(L2, .weight = 5000);
	count_time(true);
	commit(add_backend);
	commit(stop);
	WEB(NAT, .weight = 5000);
	assert_int_equal(count_time(false), 5);
	commit(assign_the_same);
	assert_int_equal(count_time(false), 0);
}

/* A place is given to another service after a second: nothing is left there of the one before. */
static void a_new_service_inherits_nothing(void **state)
{
	__u32 id;
	struct error error;

	(void)state;
	WEB(L2, .weight = 5000, .lease = 600);
	id = find_service("web")->id;
	count_time(true);
	assert_int_equal(dataplane_renew_lease(env.dataplane, find_service("web"), 1200, &error), 0);
	configure(NULL, 0);
	usleep(1100000);
	WEB(L2, .weight = 5000, .lease = 600);
	assert_int_equal(find_service("web")->id, id);
	expires_in(600);
	assert_int_equal(count_time(false), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_stop_outlives_all_but_an_assignment),
		TEST(a_service_may_begin_stopped),
		TEST(a_change_of_a_stopped_service_keeps_its_flows),
		TEST(the_kernel_may_act_in_between),
		TEST(a_deletion_after_the_kernel_acted),
		TEST(a_lease_is_its_assignments),
		TEST(failed_clients_are_of_one_assignment),
		TEST(the_bitmap_is_taken),
		TEST(only_what_can_be_seen_takes_memory),
		TEST(times_are_of_one_assignment),
		TEST(a_new_service_inherits_nothing),
	};

	return RUN(tests);
}
