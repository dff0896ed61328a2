/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives a reboot, on disk: what is saved is what is loaded, and what is damaged is not. */
#include "lib_model.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "canary/abi.h"
#include "io/state_file.h"

static char directory[] = "/tmp/test_state_file.XXXXXX";
static char path[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/keys.state", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static struct model make_oldest(void)
{
	struct model model = make_example();
	struct service_model *web = &model.services[0], *dns;

	web->salt = 0xfedcba9876543210;
	web->salt_number = 4000000000;
	web->weight = 1234;
	web->lease = 43200;
	web->idle_timeout = 600;
	web->max_window = 7200;
	web->backends[1].draining = true;
	dns = make_service(&model, "dns", "[2001:db8::10]:53");
	dns->proto = IPPROTO_UDP;
	dns->forward = CANARY_FORWARD_GUE;
	dns->gue_port = 6081;
	dns->affinity = CANARY_AFFINITY_CLIENT;
	dns->track = CANARY_TRACK_ALWAYS;
	dns->overflow = CANARY_OVERFLOW_DROP;
	dns->weight = CANARY_WEIGHT_ONE; /* with no canary backend: a drain may have led there */
	dns->idle_timeout = 60;
	dns->max_window = 86400;
	dns->lease = 0;
	make_backend(dns, CANARY_STABLE, "10.0.0.53")->port = 53;
	make_segment(dns, "2001:db8:1::/48", CANARY_STABLE);
	return model;
}

/* "web" and "dns" have open windows; none has its older weight. */
static struct model make_services(void)
{
	struct model model = {};
	struct service_model *mail;

	make_service(&model, "web", "203.0.113.10:80")->salt_number = 4000000001;
	make_service(&model, "dns", "[2001:db8::10]:53")->proto = IPPROTO_UDP;
	mail = make_service(&model, "mail", "203.0.113.11:25");
	mail->salt_number = 7;
	for (size_t i = 0; i < model.service_count; i++) {
		model.services[i].weight = 2500 + (int)i;
		model.services[i].word = (5ULL + i) << CANARY_WORD_EPOCH_SHIFT;
	}
	model.services[0].word |= CANARY_WORD_OPEN;
	model.services[1].word |= CANARY_WORD_OPEN;
	model.services[1].word |= CANARY_WORD_STOPPED;
	model.services[2].word |= CANARY_WORD_STOPPED;
	model.services[0].lease = 43200;
	model.services[1].lease = 0;
	model.services[2].lease = 30;
	return model;
}

static unsigned asked; /* for windows */

static int window_of(const struct service_model *service, void *oldest, struct model *ret,
		     struct window_times *ret_times, struct error *error)
{
	struct model *same = oldest;

	(void)error;
	asked++;
	if (!model_find_same(same, service))
		return -ENOENT;
	assert_int_equal(model_copy(same, ret), 0);
	while (strcmp(ret->services->name, service->name))
		model_remove_service(ret, ret->services);
	while (ret->service_count > 1)
		model_remove_service(ret, &ret->services[1]);
	*ret_times = (struct window_times){1700000000, 1700000100};
	return 0;
}

static void save(const struct model *services, struct model *oldest)
{
	struct error error = {};

	asked = 0;
	if (state_file_save(path, services, window_of, oldest, &error))
		fail_msg("not saved: %s", error.text);
}

static void save_example(void)
{
	struct model services = make_services(), oldest = make_oldest();

	unlink(path);
	save(&services, &oldest);
	assert_int_equal(asked, 2);
	model_free(&services);
	model_free(&oldest);
}

static struct saved_state load(void)
{
	struct saved_state state = {};
	struct error error = {};

	if (state_file_load(path, &state, &error))
		fail_msg("not loaded: %s", error.text);
	return state;
}

static void assert_same_service(const struct service_model *a, const struct service_model *b)
{
	struct service_model x = *a, y = *b;

	assert_int_equal(a->backend_count, b->backend_count);
	assert_int_equal(a->segment_count, b->segment_count);
	assert_memory_equal(a->backends, b->backends, a->backend_count * sizeof(*a->backends));
	assert_memory_equal(a->segments, b->segments, a->segment_count * sizeof(*a->segments));
	x.backends = y.backends = NULL;
	x.segments = y.segments = NULL;
	assert_memory_equal(&x, &y, sizeof(x));
}

static void test_what_is_saved_is_loaded(void **unused)
{
	struct model oldest = make_oldest(), services = make_services();
	struct saved_state state;

	(void)unused;
	unlink(path);
	save(&services, &oldest);
	state = load();
	assert_int_equal(state.services.service_count, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct service_model *service = model_find_same(&state.services, &services.services[i]);

		assert_non_null(service);
		assert_int_equal(service->weight, 2500 + i);
		assert_int_equal(service->salt_number, services.services[i].salt_number);
		assert_int_equal(service->lease, services.services[i].lease);
		assert_int_equal(service->begin_stopped, i > 0);
	}
	assert_int_equal(state.oldest.service_count, 2);
	assert_same_service(&state.oldest.services[0], &oldest.services[0]);
	assert_same_service(&state.oldest.services[1], &oldest.services[1]);
	assert_int_equal(state.times[0].opened, 1700000000);
	assert_int_equal(state.times[0].changed, 1700000100);
	saved_state_free(&state);
	model_free(&services);
	model_free(&oldest);
}

static void test_nobody_else_may_read_it(void **state)
{
	char new[80];
	struct stat status;
	FILE *stale;

	(void)state;
	/* Of a process that was killed. */
	snprintf(new, sizeof(new), "%s.new", path);
	stale = fopen(new, "w");
	assert_non_null(stale);
	fputs("rubbish that is longer than what is written over it", stale);
	assert_int_equal(fchmod(fileno(stale), 0666), 0);
	fclose(stale);
	save_example();
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(access(new, F_OK), -1);
}

static char *read_text(void)
{
	static char text[16384];
	FILE *file = fopen(path, "r");
	size_t len;

	assert_non_null(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	return text;
}

/* What has not changed is copied; and the file is then the same as if all had been asked for. */
static void assert_saved(const struct model *services, struct model *oldest, unsigned wanted_asked)
{
	char copied[16384];

	save(services, oldest);
	assert_int_equal(asked, wanted_asked);
	strcpy(copied, read_text());
	unlink(path);
	save(services, oldest);
	assert_string_equal(copied, read_text());
}

static void test_what_has_not_changed_stays(void **unused)
{
	struct model oldest = make_oldest(), services = make_services();
	struct service_model *web = &services.services[0], *dns = &services.services[1], *mail = &services.services[2];
	struct service_model first = *web;

	(void)unused;
	save_example();
	assert_saved(&services, &oldest, 0);
	web->word += 1ULL << CANARY_WORD_EPOCH_SHIFT;
	oldest.services[0].weight = 99;
	assert_saved(&services, &oldest, 1);
	dns->salt_number++; /* of another life, in which the epoch is the same */
	assert_saved(&services, &oldest, 1);
	dns->word &= ~(__u64)CANARY_WORD_OPEN;
	assert_saved(&services, &oldest, 0);
	mail->word |= CANARY_WORD_OPEN;
	assert_saved(&services, &oldest, 1); /* it has just closed: there is none to save */
	mail->word &= ~(__u64)CANARY_WORD_OPEN;
	first = *web;
	*web = *mail;
	*mail = first;
	assert_saved(&services, &oldest, 0);
	model_remove_service(&services, mail);
	assert_saved(&services, &oldest, 0);
	model_free(&services);
	model_free(&oldest);
}

static void test_no_services_are_no_file(void **unused)
{
	struct model none = {};
	struct saved_state state;

	(void)unused;
	save_example();
	save(&none, &none);
	assert_int_equal(access(path, F_OK), -1);
	save(&none, &none);
	state = load();
	assert_int_equal(state.services.service_count + state.oldest.service_count, 0);
	saved_state_free(&state);
}

static void test_where_it_cannot_be_written_that_is_said(void **unused)
{
	struct model services = make_services();
	struct error error = {};

	(void)unused;
	assert_int_equal(state_file_save("/nonexistent/state", &services, window_of, &services, &error), -ENOENT);
	assert_string_equal(error.text, "/nonexistent/state: cannot be written: No such file or directory");
	model_free(&services);
}

static void assert_damaged(const char *text, size_t len, const char *sentence)
{
	struct saved_state state = {.times = (void *)1};
	struct error error = {};
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
	assert_int_equal(state_file_load(path, &state, &error), -EINVAL);
	assert_ptr_equal(state.times, (void *)1);
	if (!strstr(error.text, "is damaged (") || !strstr(error.text, sentence))
		fail_msg("the message is\n  %s\nand should have in it\n  %s", error.text, sentence);
}

static void test_a_file_cut_short_is_damaged(void **state)
{
	char text[16384];
	size_t len;

	(void)state;
	save_example();
	len = strlen(strcpy(text, read_text()));
	for (size_t at = 0; at + 2 < len; at += 7)
		assert_damaged(text, at, "line ");
}

/* A file of a version that knew neither leases nor stops: the service's own lease applies. */
static void test_an_older_file_is_loaded(void **unused)
{
	static const char text[] = "{\"format\":1,\"services\":[\n"
				   "{\"name\":\"web\",\"protocol\":\"tcp\",\"address\":\"203.0.113.10\",\"port\":80,"
				   "\"weight_hundredths\":2500,\"salt_number\":3,\"epoch\":9}\n]}\n";
	struct saved_state state;
	FILE *file = fopen(path, "w");

	(void)unused;
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	state = load();
	assert_int_equal(state.services.service_count, 1);
	assert_int_equal(state.services.services[0].weight, 2500);
	assert_int_equal(state.services.services[0].salt_number, 3);
	assert_int_equal(state.services.services[0].lease, LEASE_UNSET);
	assert_false(state.services.services[0].begin_stopped);
	saved_state_free(&state);
}

static void test_what_was_not_written_by_us_is_damaged(void **state)
{
	static const struct {
		const char *from, *to, *sentence;
	} edits[] = {
		{"\"format\":1", "\"format\":2", "format that this version knows"},
		{"\"services\":[", "\"others\":[", "format that this version knows"},
		{"\"name\":\"web\"", "\"name\":\"a/b\"", "services[0]"},
		{"\"name\":\"web\"", "\"name\":5", "services[0]"},
		{"\"port\":80,", "\"port\":70000,", "services[0]"},
		{"\"port\":80,", "\"port\":\"80\",", "services[0]"},
		{"\"weight_hundredths\":2502", "\"weight_hundredths\":10001", "services[2]"},
		{"\"salt_number\":7", "\"salt_number\":-7", "services[2]"},
		{"\"lease\":30", "\"lease\":43201", "services[2]"},
		{"\"lease\":30", "\"lease\":-1", "services[2]"},
		{"\"stopped\":true", "\"stopped\":1", "services[1]"},
		{"\"opened\"", "\"open\"", "services[0]"},
		{"\"changed\":1700000100", "\"changed\":1600000000", "services[0]"},
		{"\"weight_hundredths\":1234", "\"weight_hundredths\":-1", "services[0]"},
		{"\"weight_hundredths\":1234", "\"weight_hundredths\":10001", "services[0]"},
		{"\"salt\":\"fedcba9876543210\"", "\"salt\":\"fedcba987654321\"", "services[0]"},
		{"\"salt\":\"fedcba9876543210\"", "\"salt\":\" edcba9876543210\"", "services[0]"},
		{"\"salt_number\":4000000000", "\"salt_number\":4294967296", "services[0]"},
		{"\"idle_timeout\":600", "\"idle_timeout\":0", "services[0]"},
		{"\"max_window\":7200", "\"max_window\":599", "a window cannot close before"},
		{"\"weight\":2", "\"weight\":0", "from 1 to 1000, not 0"},
		{"\"draining\":true", "\"draining\":1", "services[0]"},
		{"\"draining\":true", "\"draining\":true,\"draining\":true", "duplicate"},
		{"2001:db8:1::/48", "2001:db8:1::1/48", "services[1]"},
	};
	char written[16384], text[16384];

	(void)state;
	save_example();
	strcpy(written, read_text());
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		const char *at = strstr(written, edits[i].from);

		if (!at)
			fail_msg("%s is not in the file:\n%s", edits[i].from, written);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - written), written, edits[i].to,
			 at + strlen(edits[i].from));
		assert_damaged(text, strlen(text), edits[i].sentence);
	}
	assert_damaged("[]", 2, "format that this version knows");
	assert_damaged("\0", 1, "line 1");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_saved_is_loaded),
		cmocka_unit_test(test_what_has_not_changed_stays),
		cmocka_unit_test(test_nobody_else_may_read_it),
		cmocka_unit_test(test_no_services_are_no_file),
		cmocka_unit_test(test_where_it_cannot_be_written_that_is_said),
		cmocka_unit_test(test_a_file_cut_short_is_damaged),
		cmocka_unit_test(test_an_older_file_is_loaded),
		cmocka_unit_test(test_what_was_not_written_by_us_is_damaged),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
