/* SPDX-License-Identifier: Apache-2.0 */
/* Changes: all of it or nothing, whoever else changed something, and whatever a killed command left behind. */
#include "lib_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define WEB(...)                                                                                                       \
	{                                                                                                              \
		.name = "web", .endpoint = VIP ":80", .stable = "10.0.0.11:8080", .canary = "10.0.0.21:8080",          \
		__VA_ARGS__                                                                                            \
	}
#define DNS(...)                                                                                                       \
	{                                                                                                              \
		.name = "dns", .endpoint = VIP ":53", .proto = IPPROTO_UDP, .stable = "10.0.0.11:53", __VA_ARGS__      \
	}

static int commit_from(const struct model *actual, const struct service *services, size_t count)
{
	struct model desired;
	struct error error;
	int result;

	make_model(services, count, actual, &desired);
	result = dataplane_commit(env.dataplane, actual, &desired, &error);
	model_free(&desired);
	env_refresh();
	return result;
}

static void a_change_of_what_somebody_else_changed_is_refused(void **state)
{
	static const struct service mine[] = {WEB(.weight = 2500), DNS(.weight = 0)};
	struct model stale;

	(void)state;
	CONFIGURE(WEB(.weight = 500), DNS(.weight = 0));
	stale = read_model();
	CONFIGURE(WEB(.weight = 1000), DNS(.weight = 0));
	assert_int_equal(commit_from(&stale, mine, 2), -ESTALE);
	assert_int_equal(find_service("web")->weight, 1000);
	model_free(&stale);
}

static void a_deletion_of_what_somebody_else_changed_is_refused(void **state)
{
	struct model stale;

	(void)state;
	CONFIGURE(WEB(.weight = 500), DNS(.weight = 0));
	stale = read_model();
	CONFIGURE(WEB(.weight = 1000), DNS(.weight = 0));
	assert_int_equal(commit_from(&stale, NULL, 0), -ESTALE);
	assert_int_equal(env.model.service_count, 2);
	model_free(&stale);
}

static void one_refused_change_undoes_all_of_them(void **state)
{
	static const struct service mine[] = {WEB(.weight = 2500),
					      DNS(.track = CANARY_TRACK_ALWAYS),
					      {.name = "new", .endpoint = VIP ":443", .stable = "10.0.0.11"}};
	struct model stale;

	(void)state;
	CONFIGURE(WEB(.weight = 500), DNS(.weight = 0));
	stale = read_model();
	CONFIGURE(WEB(.weight = 500), DNS(.track = CANARY_TRACK_NEVER));
	assert_int_equal(commit_from(&stale, mine, 3), -ESTALE);
	assert_int_equal(find_service("web")->weight, 500);
	assert_int_equal(find_service("dns")->track, CANARY_TRACK_NEVER);
	assert_int_equal(env.model.service_count, 2);
	model_free(&stale);
}

/* Two commands that read an empty state add the same service: the second changes nothing, not even what is before it. */
static void an_address_that_somebody_else_took_is_refused_as_a_whole(void **state)
{
	static const struct service mine[] = {DNS(.weight = 0), WEB(.weight = 500)};
	struct model empty;
	int result;

	(void)state;
	empty = read_model();
	CONFIGURE(WEB(.weight = 1000));
	result = commit_from(&empty, mine, 2);
	assert_int_equal(env.model.service_count, 1);
	assert_int_equal(find_service("web")->weight, 1000);
	assert_int_equal(result, -ESTALE);
	model_free(&empty);
}

/* What a refused change had prepared is nowhere in force: word, backends, segments are those of before. */
static void a_refused_change_leaves_the_running_configuration_alone(void **state)
{
	static const struct service mine[] = {WEB(.weight = 2500, .segments = "198.51.100.0/24>canary"),
					      DNS(.weight = 0, .canary = "10.0.0.21:53")};
	struct model stale, desired, before, after;
	struct error error;

	(void)state;
	CONFIGURE(WEB(.weight = 500), {.name = "other", .endpoint = VIP ":1", .stable = "10.0.0.11"});
	stale = read_model();
	CONFIGURE(WEB(.weight = 1000));
	make_model(mine, 2, &stale, &desired);
	before = read_model();
	assert_int_equal(dataplane_commit(env.dataplane, &stale, &desired, &error), -ESTALE);
	assert_true(strlen(error.text) > 20);
	after = read_model();
	assert_int_equal(after.service_count, 1);
	assert_int_equal(after.services[0].word, before.services[0].word);
	assert_int_equal(after.services[0].salt, before.services[0].salt);
	assert_int_equal(after.services[0].weight, 1000);
	assert_int_equal(after.services[0].segment_count, 0);
	assert_int_equal(after.services[0].backend_count, before.services[0].backend_count);
	assert_memory_equal(after.services[0].backends, before.services[0].backends,
			    before.services[0].backend_count * sizeof(struct backend_model));
	model_free(&stale);
	model_free(&desired);
	model_free(&before);
	model_free(&after);
	env_refresh();
}

static void work_in(const char *dir)
{
	struct model actual, desired;
	struct dataplane *dataplane;
	struct error error;
	static const struct service web[] = {WEB(.weight = 500)};

	if (dataplane_open(dir, DATAPLANE_CREATE, &dataplane, &error))
		fail_msg("%s", error.text);
	if (dataplane_read(dataplane, NULL, &actual, &error))
		fail_msg("%s", error.text);
	make_model(web, 1, &actual, &desired);
	if (dataplane_commit(dataplane, &actual, &desired, &error))
		fail_msg("%s", error.text);
	model_free(&actual);
	actual = desired;
	desired = (struct model){};
	if (dataplane_commit(dataplane, &actual, &desired, &error))
		fail_msg("%s", error.text);
	model_free(&actual);
	dataplane_close(dataplane);
}

/* A command that is killed while it makes or removes the pins: the next one works. */
static void a_kill_while_the_pins_come_or_go_is_repaired(void **state)
{
	char dir[80];

	(void)state;
	snprintf(dir, sizeof(dir), "%s-2", env.dir);
	for (int i = 0; i < 12; i++) {
		struct dataplane *dataplane;
		struct error error;
		pid_t child = fork();

		if (!child) {
			if (!dataplane_open(dir, DATAPLANE_CREATE, &dataplane, &error))
				dataplane_close(dataplane);
			_exit(0);
		}
		usleep(10000 * i);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		work_in(dir);
	}
}

static void unlink_pin(const char *dir, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

/* A command that was killed while it removed the pins of a state that nobody uses: `settings` goes first. */
static void half_removed_pins_are_repaired(void **state)
{
	static const char *const gone[] = {"settings", "canary_commit", "canary_xdp", "canary_bulk_tx",
					   "arena",    "flows",		"services"};
	char dir[80];

	(void)state;
	snprintf(dir, sizeof(dir), "%s-2", env.dir);
	for (size_t i = 1; i <= sizeof(gone) / sizeof(*gone); i++) {
		pid_t child = fork();
		struct dataplane *dataplane;
		struct error error;
		int status;

		/* Ends without a dataplane_close(), so that the pins stay. */
		if (!child)
			_exit(dataplane_open(dir, DATAPLANE_CREATE, &dataplane, &error) != 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		for (size_t j = 0; j < i; j++)
			unlink_pin(dir, gone[j]);
		assert_int_equal(dataplane_open(dir, DATAPLANE_READ, &dataplane, &error), -ENOENT);
		work_in(dir);
	}
}

/* Their records, rings and backends may be read by a packet on its way for a moment: that is waited for, not refused. */
static void places_of_deleted_services_are_given_away_at_once(void **state)
{
	enum { COUNT = CANARY_MAX_SERVICES - 1 };
	static char names[COUNT][16], endpoints[COUNT][32];
	struct service services[COUNT];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "s%d", i);
		snprintf(endpoints[i], sizeof(endpoints[i]), "203.0.%d.%d:80", 113 + i / 250, 1 + i % 250);
		services[i] = (struct service){
			.name = names[i], .endpoint = endpoints[i], .stable = "10.0.0.11", .canary = "10.0.0.21"};
	}
	for (int i = 0; i < 2; i++) {
		configure(services, COUNT);
		assert_int_equal(env.model.service_count, COUNT);
		configure(services, 1);
		assert_int_equal(env.model.service_count, 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_change_of_what_somebody_else_changed_is_refused),
		TEST(a_deletion_of_what_somebody_else_changed_is_refused),
		TEST(one_refused_change_undoes_all_of_them),
		TEST(an_address_that_somebody_else_took_is_refused_as_a_whole),
		TEST(a_refused_change_leaves_the_running_configuration_alone),
		TEST(a_kill_while_the_pins_come_or_go_is_repaired),
		TEST(half_removed_pins_are_repaired),
		TEST(places_of_deleted_services_are_given_away_at_once),
	};

	return RUN(tests);
}
