/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are refused and accepted: each file of tests/data/refused and tests/data/accepted is a test. A refused one
 * begins with "# expect: TEXT" and "# line: N": the message must be FILE:N: and have TEXT in it.
 */
#include "lib_model.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "core/fleet_settings.h"
#include "core/health_plan.h"
#include "io/config.h"
#include "io/plan_json.h"

#define DATA "tests/data/"

enum { MIN_REFUSED = 120, MIN_ACCEPTED = 15, MAX_FILES = 1000 };

/* What a model holds that must not be touched when a file is refused. */
static const struct model untouched = {.service_count = 77};

static void read_expectation(const char *file, char text[256], unsigned *line)
{
	FILE *stream = fopen(file, "re");

	assert_non_null(stream);
	assert_int_equal(fscanf(stream, "# expect: %255[^\n]\n# line: %u\n", text, line), 2);
	fclose(stream);
}

static void test_refused(void **state)
{
	const char *file = *state;
	struct model model = untouched;
	struct error error = {};
	char wanted[512], text[256] = "";
	unsigned line = 0;

	read_expectation(file, text, &line);
	assert_int_equal(config_load(file, &model, &error), -EINVAL);
	assert_memory_equal(&model, &untouched, sizeof(model));
	snprintf(wanted, sizeof(wanted), "%s:%u: ", file, line);
	if (strncmp(error.text, wanted, strlen(wanted)) || !strstr(error.text, text))
		fail_msg("the message is\n  %s\nand should begin with\n  %s\nand have in it\n  %s", error.text, wanted,
			 text);
	assert_null(strchr(error.text, '\n'));
}

static void test_accepted(void **state)
{
	struct model model = untouched;
	struct error error = {};

	if (config_load(*state, &model, &error) < 0)
		fail_msg("refused: %s", error.text);
	model_free(&model);
}

static void test_the_example_means_what_it_says(void **state)
{
	struct canary_addr addr = make_addr("10.0.0.12");
	struct model model = {};
	struct error error = {};
	struct service_model *web;

	(void)state;
	assert_int_equal(config_load(DATA "accepted/example.yaml", &model, &error), 0);
	assert_int_equal(model.service_count, 1);
	web = model_find_service(&model, "web");
	assert_non_null(web);
	assert_int_equal(web->proto, IPPROTO_TCP);
	assert_int_equal(web->port, 80);
	assert_int_equal(web->forward, CANARY_FORWARD_NAT);
	assert_int_equal(web->affinity, CANARY_AFFINITY_FLOW);
	assert_int_equal(web->weight, 500);
	assert_int_equal(web->backend_count, 3);
	assert_int_equal(web->backends[1].weight, 2);
	assert_int_equal(web->backends[1].port, 8080);
	assert_true(addr_equal(&web->backends[1].addr, &addr));
	assert_int_equal(web->backends[2].cohort, CANARY_CANARY);
	assert_int_equal(web->segment_count, 1);
	assert_int_equal(web->segments[0].prefix_len, 96 + 24);
	assert_int_equal(web->segments[0].cohort, CANARY_CANARY);
	model_free(&model);
}

static void test_defaults(void **state)
{
	struct model model = {};
	struct error error = {};
	const struct service_model *service;

	(void)state;
	assert_int_equal(config_load(DATA "accepted/any-port-beside-exact.yaml", &model, &error), 0);
	service = &model.services[1];
	assert_int_equal(service->forward, CANARY_FORWARD_NAT);
	assert_int_equal(service->affinity, CANARY_AFFINITY_FLOW);
	assert_int_equal(service->track, CANARY_TRACK_AUTO);
	assert_int_equal(service->overflow, CANARY_OVERFLOW_OTHER);
	assert_int_equal(service->weight, WEIGHT_KEEP);
	assert_int_equal(service->backends[0].port, 0);
	assert_int_equal(service->backends[0].weight, 1);
	assert_int_equal(model.services[2].proto, IPPROTO_UDP);
	assert_int_equal(model.services[2].track, CANARY_TRACK_ALWAYS);
	model_free(&model);
	assert_int_equal(config_load(DATA "accepted/l2.yaml", &model, &error), 0);
	assert_int_equal(model.services[0].backends[0].port, 80);
	model_free(&model);
}

static void test_times(void **state)
{
	struct model model = {};
	struct error error = {};

	(void)state;
	assert_int_equal(config_load(DATA "accepted/times.yaml", &model, &error), 0);
	assert_int_equal(model.services[0].idle_timeout, 5400);
	assert_int_equal(model.services[0].max_window, 604800);
	assert_int_equal(model.services[0].reset_after, RESET_NEVER);
	assert_int_equal(model.services[1].idle_timeout, 90);
	assert_int_equal(model.services[1].max_window, MAX_WINDOW);
	model_free(&model);
}

static void assert_guards(const struct service_model *service, unsigned cap, unsigned timeout, unsigned ratio,
			  unsigned lease)
{
	assert_int_equal(service->observe_cap, cap);
	assert_int_equal(service->handshake_timeout, timeout);
	assert_int_equal(service->breaker_ratio, ratio);
	assert_int_equal(service->lease_default, lease);
	assert_int_equal(service->lease, LEASE_UNSET);
}

static void test_what_is_watched_and_guarded(void **state)
{
	struct model model = {};
	struct error error = {};

	(void)state;
	assert_int_equal(config_load(DATA "accepted/guards.yaml", &model, &error), 0);
	assert_guards(&model.services[0], 250, 500, 110, 30);
	assert_false(model.services[0].breaker);
	assert_int_equal(model.services[0].breaker_arl, 2000000000);
	assert_int_equal(model.services[0].on_expiry, CANARY_EXPIRY_HOLD);
	assert_guards(&model.services[1], 0, HANDSHAKE_TIMEOUT, 60000, 0);
	assert_true(model.services[1].breaker);
	assert_int_equal(model.services[1].breaker_arl, BREAKER_ARL);
	assert_int_equal(model.services[1].on_expiry, CANARY_EXPIRY_STABLE);
	assert_guards(&model.services[2], OBSERVE_CAP, 60000, BREAKER_RATIO, 43200);
	model_free(&model);
}

static void assert_same_when_written(const struct rollout_plan *plan)
{
	json_t *json = plan_json(plan), *again;
	char *text = json_dumps(json, 0);
	struct rollout_plan back;
	struct error error = {};

	if (plan_parse("plan", text, &back, &error) < 0)
		fail_msg("%s\n%s", error.text, text);
	again = plan_json(&back);
	assert_int_equal(back.guards.given, plan->guards.given);
	assert_true(json_equal(json, again));
	assert_int_equal(back.step_count, plan->step_count);
	assert_memory_equal(back.steps, plan->steps, sizeof(plan->steps[0]) * plan->step_count);
	json_decref(json);
	json_decref(again);
	free(text);
}

static void parse_plan(const char *text, struct rollout_plan *ret)
{
	struct error error = {};

	if (plan_parse("plan", text, ret, &error) < 0)
		fail_msg("%s\n%s", error.text, text);
}

static void test_what_a_plan_does_not_say_fits_what_it_says(void **state)
{
	struct rollout_plan plan;

	(void)state;
	parse_plan("steps: [{weight: 5, bake: 3s}, {weight: 100, bake: 4s}]", &plan);
	assert_int_equal(plan.final_bake, 4);
	assert_int_equal(plan.steps[1].warmup, 1);
	parse_plan("steps: [{weight: 5, bake: 3s}, {weight: 100, bake: 4s}]\nfinal_bake: 5s", &plan);
	assert_int_equal(plan.final_bake, 9);
	parse_plan("steps: [{weight: 5, bake: 3s}]\nfinal_bake: 5s", &plan);
	assert_int_equal(plan.step_count, 2);
	assert_int_equal(plan.steps[0].bake, 3);
	assert_int_equal(plan.steps[1].weight, CANARY_WEIGHT_ONE);
	assert_int_equal(plan.final_bake, 5);
	parse_plan("progress_deadline: 10s", &plan);
	assert_int_equal(plan.steps[0].bake, 5);
	assert_int_equal(plan.final_bake, 5);
	parse_plan("steps: [{weight: 5, bake: 8s}, {weight: 100}]\nprogress_deadline: 10s", &plan);
	assert_int_equal(plan.steps[0].bake, 8);
	parse_plan("final_bake: 24h", &plan);
	assert_int_equal(plan.progress_deadline, 48 * 3600);
	parse_plan("final_bake: 24h\nprogress_deadline: 0", &plan);
	assert_int_equal(plan.progress_deadline, 0);
}

/* A plan in a file of its own, for the service "web". */
static int load_plan_of_its_own(const char *text, struct model *ret, struct error *error)
{
	char name[] = "/tmp/canaryctl-plan.XXXXXX";
	FILE *file = fdopen(mkstemp(name), "w");
	int result;

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	result = config_or_plan_load(name, "web", ret, error);
	unlink(name);
	return result;
}

static void test_a_plan_of_its_own_may_stand_below_its_key(void **state)
{
	struct model model = {};
	struct error error = {};

	(void)state;
	assert_int_equal(load_plan_of_its_own("rollout:\n  steps: [{weight: 7}, {weight: 100}]\n", &model, &error), 0);
	assert_int_equal(model.services[0].rollout->steps[0].weight, 700);
	model_free(&model);
}

static void test_a_plan_of_its_own_is_told_from_a_configuration(void **state)
{
	struct model model = {};
	struct error error = {};

	(void)state;
	assert_int_equal(load_plan_of_its_own("steps: [{weight: 7}, {weight: 100}]\n", &model, &error), 0);
	assert_int_equal(model.service_count, 1);
	assert_string_equal(model.services[0].name, "web");
	assert_int_equal(model.services[0].rollout->steps[0].weight, 700);
	model_free(&model);
	assert_int_equal(load_plan_of_its_own("steps: [{weight: 7}, {weight: 100}]\nnosteps: 1\n", &model, &error),
			 -EINVAL);
	assert_non_null(strstr(error.text, "nosteps: unknown key"));
	assert_int_equal(config_or_plan_load(DATA "accepted/rollout.yaml", "dns", &model, &error), 0);
	assert_int_equal(model.service_count, 2);
	model_free(&model);
}

/* Each accepted file says as JSON what it says as YAML. */
static void assert_same_as_json(const char *file)
{
	struct model yaml, model;
	struct error error = {};
	json_t *json;
	char *text;

	assert_int_equal(config_load(file, &yaml, &error), 0);
	assert_int_equal(config_load_json(file, &json, &error), 0);
	text = json_dumps(json, JSON_SORT_KEYS);
	if (config_read("json", text, &model, &error))
		fail_msg("%s: %s", file, error.text);
	assert_int_equal(model.service_count, yaml.service_count);
	for (size_t i = 0; i < yaml.service_count; i++) {
		const struct service_model *a = &yaml.services[i], *b = &model.services[i];

		assert_string_equal(a->name, b->name);
		assert_int_equal(a->weight, b->weight);
		assert_int_equal(a->backend_count, b->backend_count);
		assert_int_equal(a->segment_count, b->segment_count);
		if (a->backend_count)
			assert_memory_equal(a->backends, b->backends, a->backend_count * sizeof(*a->backends));
		assert_int_equal(!a->rollout, !b->rollout);
		assert_int_equal(!a->health, !b->health);
		if (a->rollout)
			assert_memory_equal(a->rollout, b->rollout, sizeof(*a->rollout));
	}
	free(text);
	json_decref(json);
	model_free(&model);
	model_free(&yaml);
}

static void test_as_json(void **state)
{
	struct error error = {};
	json_t *json;

	(void)state;
	assert_same_as_json(DATA "accepted/rollout.yaml");
	assert_same_as_json(DATA "accepted/fleet-plain.yaml");
	assert_int_equal(config_load_json(DATA "refused/key-unknown-top.yaml", &json, &error), -EINVAL);
	assert_non_null(strstr(error.text, "unknown key"));
}

static void test_a_fleet(void **state)
{
	struct model model = {}, copy = {};
	struct error error = {};
	char name[FLEET_NAME_LEN];

	(void)state;
	assert_int_equal(config_load(DATA "accepted/fleet.yaml", &model, &error), 0);
	assert_int_equal(model_copy(&model, &copy), 0);
	model_free(&model);
	assert_int_equal(copy.fleet->etcd.endpoint_count, 3);
	assert_string_equal(copy.fleet->etcd.endpoints[2], "https://10.0.0.3:2379");
	assert_string_equal(copy.fleet->etcd.ca, "/etc/canary/etcd/ca.pem");
	assert_string_equal(copy.fleet->etcd.cert, "/etc/canary/etcd/lb1.pem");
	assert_string_equal(copy.fleet->etcd.key, "/etc/canary/etcd/lb1.key");
	assert_string_equal(copy.fleet->etcd.user, "canary");
	assert_string_equal(copy.fleet->etcd.password_file, "/etc/canary/etcd/password");
	assert_string_equal(copy.fleet->prefix, "/canary");
	assert_string_equal(copy.fleet->name, "lb1");
	model_free(&copy);
	/* What is left out. */
	assert_int_equal(gethostname(name, sizeof(name)), 0);
	assert_int_equal(config_load(DATA "accepted/fleet-plain.yaml", &model, &error), 0);
	assert_string_equal(model.fleet->prefix, "/canary");
	assert_string_equal(model.fleet->name, name);
	assert_string_equal(model.fleet->etcd.ca, "");
	assert_string_equal(model.fleet->etcd.user, "");
	model_free(&model);
	assert_int_equal(config_load(DATA "accepted/minimal.yaml", &model, &error), 0);
	assert_null(model.fleet);
	model_free(&model);
}

static void test_plans(void **state)
{
	struct model model = {}, copy = {};
	struct error error = {};
	const struct rollout_plan *plan;

	(void)state;
	assert_int_equal(config_load(DATA "accepted/rollout.yaml", &model, &error), 0);
	assert_int_equal(model_copy(&model, &copy), 0);
	model_free(&model);
	plan = copy.services[0].rollout;
	assert_int_equal(plan->step_count, 4);
	assert_int_equal(plan->steps[0].min_flows, 2000);
	assert_int_equal(plan->steps[0].warmup, 30);
	assert_int_equal(plan->steps[1].warmup, 1); /* not all of a short bake */
	assert_true(plan->steps[2].approval);
	assert_int_equal(plan->gate_count, 7);
	assert_true(plan->gates[1].compare && plan->gates[1].tolerance == 1.5);
	assert_false(plan->gates[2].compare);
	assert_true(plan->gates[2].max == 0.1);
	assert_string_equal(plan->gates[4].name, "command");
	assert_int_equal(plan->gates[4].mode, GATE_MODE_REPORT);
	assert_int_equal(plan->on_deadline, OTHERWISE_ROLLBACK);
	assert_true(plan->max_harm == 0.01);
	assert_int_equal(plan->freeze_count, 2);
	assert_string_equal(plan->hooks[HOOK_ROLLBACK], "/usr/bin/page us");
	assert_int_equal(plan->guards.given, (1U << GUARD_SETTING_COUNT) - 1);
	assert_false(plan->guards.breaker);
	assert_int_equal(plan->guards.breaker_ratio, 250);
	assert_int_equal(plan->guards.breaker_arl, 5000);
	assert_int_equal(plan->guards.lease_default, 90);
	assert_int_equal(plan->guards.on_expiry, CANARY_EXPIRY_HOLD);
	/* The service's own are its own. */
	assert_true(copy.services[0].breaker);
	assert_int_equal(copy.services[0].lease_default, 0);
	assert_int_equal(copy.services[1].rollout->guards.given, 0);
	assert_same_when_written(plan);
	assert_same_when_written(copy.services[1].rollout);
	assert_int_equal(copy.services[1].rollout->steps[0].weight, 500);
	assert_int_equal(copy.services[0].health->type, HEALTH_TYPE_HTTP);
	assert_int_equal(copy.services[0].health->timeout, 500);
	assert_int_equal(copy.services[1].health->fall, 3);
	model_free(&copy);
}

static void assert_unreadable(const char *file, int code, const char *message)
{
	struct model model = untouched;
	struct error error = {};

	assert_int_equal(config_load(file, &model, &error), code);
	assert_string_equal(error.text, message);
	assert_memory_equal(&model, &untouched, sizeof(model));
}

static void test_files_that_cannot_be_read(void **state)
{
	(void)state;
	assert_unreadable("tests/data", -EISDIR, "tests/data: is a directory: name a file");
	assert_unreadable("tests/data/missing", -ENOENT,
			  "tests/data/missing: cannot be opened: No such file or directory");
	assert_unreadable("", -ENOENT, ": cannot be opened: No such file or directory");
	assert_unreadable("/dev/zero", -EFBIG, "/dev/zero: is larger than 16 MiB: this is no configuration");
	assert_unreadable("/dev/null", -EINVAL, "/dev/null:1: the file is empty: write `services: []` for no services");
}

/* Loads `count` repetitions of `item` between `head` and `tail`, and looks for `message`. */
static void assert_refused_large(const char *head, const char *item, size_t count, const char *tail,
				 const char *message)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	FILE *stream = fdopen(fd, "w");
	struct model model = untouched;
	struct error error = {};
	char file[64];

	assert_non_null(stream);
	fputs(head, stream);
	for (size_t i = 0; i < count; i++)
		fputs(item, stream);
	fputs(tail, stream);
	fflush(stream);
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	assert_true(config_load(file, &model, &error) < 0);
	fclose(stream);
	if (!strstr(error.text, message))
		fail_msg("the message is\n  %s\nand should have in it\n  %s", error.text, message);
}

static void test_large_files(void **state)
{
	(void)state;
	assert_refused_large("services: ", "[", 10000000, "", "nested more than 16 levels deep");
	assert_refused_large("", "{a: ", 2000000, "", "nested more than 16 levels deep");
	assert_refused_large("services: [", "0,", 4000000, "]", "more than 1000000 values");
	assert_refused_large("services: \"", "0123456789", 1000000, "\"", "longer than 511 bytes");
	assert_refused_large("services: [", "{},", 100000, "]", "services[0]: 'name' is missing");
	assert_refused_large("services: []\n", "#\n", 8388608, "", "larger than 16 MiB");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One test for each YAML file of a directory; returns how many. */
static size_t add_files(const char *directory, CMUnitTestFunction function, struct CMUnitTest *tests)
{
	DIR *dir = opendir(directory);
	char *files[MAX_FILES];
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir)) && count < MAX_FILES) {
		if (strstr(entry->d_name, ".yaml") && asprintf(&files[count], "%s/%s", directory, entry->d_name) > 0)
			count++;
	}
	if (dir)
		closedir(dir);
	qsort(files, count, sizeof(*files), by_name);
	for (size_t i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){.name = files[i], .test_func = function, .initial_state = files[i]};
	return count;
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(test_the_example_means_what_it_says),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_what_is_watched_and_guarded),
		cmocka_unit_test(test_what_a_plan_does_not_say_fits_what_it_says),
		cmocka_unit_test(test_a_plan_of_its_own_may_stand_below_its_key),
		cmocka_unit_test(test_a_plan_of_its_own_is_told_from_a_configuration),
		cmocka_unit_test(test_as_json),
		cmocka_unit_test(test_a_fleet),
		cmocka_unit_test(test_plans),
		cmocka_unit_test(test_files_that_cannot_be_read),
		cmocka_unit_test(test_large_files),
	};
	enum { FIXED = sizeof(fixed) / sizeof(fixed[0]) };
	static struct CMUnitTest tests[FIXED + 2 * MAX_FILES];
	size_t refused, accepted;
	int failed;

	memcpy(tests, fixed, sizeof(fixed));
	refused = add_files(DATA "refused", test_refused, tests + FIXED);
	accepted = add_files(DATA "accepted", test_accepted, tests + FIXED + refused);
	if (refused < MIN_REFUSED || accepted < MIN_ACCEPTED) {
		fprintf(stderr, "only %zu and %zu files in " DATA "{refused,accepted}: run from the top of the tree\n",
			refused, accepted);
		return 1;
	}
	failed = _cmocka_run_group_tests("config", tests, FIXED + refused + accepted, NULL, NULL);
	for (size_t i = FIXED; i < FIXED + refused + accepted; i++)
		free(tests[i].initial_state);
	return failed;
}
