/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that are not what they should be: silent, foreign, no etcd at all, or etcd with an earlier state. */
#include "lib_etcd.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT 30000 /* ms: long enough on any machine */

static struct test_client client;

/* Members 1 and 2 are each a cluster of its own. */
static int start_group(void **state)
{
	if (etcd_set_up(state))
		return -1;
	cluster_start(1, 1, "http", "");
	cluster_start(2, 2, "http", "");
	run("until " CTL "endpoint health >/dev/null 2>&1; do sleep 0.1; done", port_of(1));
	run("until " CTL "endpoint health >/dev/null 2>&1; do sleep 0.1; done", port_of(2));
	return 0;
}

static int listen_at(int *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 64), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
	*ret_port = ntohs(address.sin_port);
	return listening;
}

/* Clients begin anywhere: some of so many begin at the wrong one. */
enum { MANY = 8 };

static void assert_all_find(const struct etcd_settings *settings, __u64 cluster, const char *url)
{
	for (int i = 0; i < MANY; i++) {
		client_open(&client, settings, cluster);
		assert_done(ask_get(&client, "/x"));
		assert_string_equal(etcd_member(client.etcd), url);
		client_close(&client);
	}
}

static void test_one_that_accepts_and_never_answers(void **state)
{
	struct etcd_settings settings = settings_of("http", 1, 1);
	int port, listening = listen_at(&port);
	struct outcome outcome = {};
	struct error error;

	(void)state;
	settings.endpoint_count = 2;
	snprintf(settings.endpoints[1], ETCD_URL_LEN, "http://127.0.0.1:%d", port);
	assert_all_find(&settings, 0, settings.endpoints[0]);
	/* There is no other. */
	settings.endpoint_count = 1;
	strcpy(settings.endpoints[0], settings.endpoints[1]);
	client_open(&client, &settings, 0);
	assert_int_equal(etcd_put(client.etcd, "/x", "x", 0, 3000, note, &outcome, NULL, &error), 0);
	drive_until(&client, &outcome.count, 1, WAIT);
	assert_code(outcome, -ETIMEDOUT, "no member of etcd answered within 3000 ms: http://127.0.0.1:");
	assert_false(outcome.result.unknown);
	client_close(&client);
	close(listening);
}

static const char *lie;

static void *answer(void *arg)
{
	int listening = *(int *)arg, fd;
	char text[4096];

	while ((fd = accept(listening, NULL, NULL)) >= 0) {
		if (recv(fd, text, sizeof(text), 0) > 0) {
			snprintf(text, sizeof(text),
				 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(lie),
				 lie);
			send(fd, text, strlen(text), MSG_NOSIGNAL);
		}
		close(fd);
	}
	return NULL;
}

static void test_one_that_is_no_etcd(void **state)
{
	static const char *const lies[] = {"",
					   "hello",
					   "{}",
					   "[]",
					   "{\"header\":{\"cluster_id\":7}}",
					   "{\"header\":{\"cluster_id\":\"7\"},\"leader\":\"1\"}",
					   "{\"error\":\"etcdserver: unhealthy cluster\",\"message\":\"etcdserver: "
					   "unhealthy cluster\",\"code\":14}"};
	struct etcd_settings settings = settings_of("http", 1, 1);
	int port, listening = listen_at(&port);
	pthread_t thread;
	__u64 cluster;

	(void)state;
	client_open(&client, &settings, 0);
	assert_done(ask_get(&client, "/x"));
	cluster = etcd_cluster(client.etcd);
	client_close(&client);
	settings.endpoint_count = 2;
	snprintf(settings.endpoints[1], ETCD_URL_LEN, "http://127.0.0.1:%d", port);
	lie = lies[0];
	assert_int_equal(pthread_create(&thread, NULL, answer, &listening), 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		lie = lies[i];
		assert_all_find(&settings, cluster, settings.endpoints[0]);
	}
	shutdown(listening, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listening);
}

static void test_a_foreign_cluster_is_left_alone(void **state)
{
	const struct etcd_settings both = settings_of("http", 1, 2), ours = settings_of("http", 1, 1),
				   theirs = settings_of("http", 2, 2);
	struct outcome outcome = {};
	struct error error;
	__u64 cluster;

	(void)state;
	client_open(&client, &ours, 0);
	assert_done(ask_put(&client, "/f/x", "ours"));
	cluster = etcd_cluster(client.etcd);
	client_close(&client);
	assert_all_find(&both, cluster, ours.endpoints[0]);
	/* It is said, and nothing is written there. */
	client_open(&client, &theirs, cluster);
	assert_int_equal(etcd_put(client.etcd, "/f/x", "x", 0, 2000, note, &outcome, NULL, &error), 0);
	drive_until(&client, &outcome.count, 1, WAIT);
	assert_code(outcome, -ETIMEDOUT, "http://127.0.0.1:2389: is of another cluster of etcd (");
	assert_non_null(strstr(client.told, "is of another cluster of etcd ("));
	assert_null(etcd_member(client.etcd));
	client_close(&client);
	run("[ -z \"$(" CTL "get --prefix /f/)\" ]", port_of(2));
	/* Where ours is lost, the foreign one is not taken for it. */
	for (int i = 0; i < MANY && !(i && strstr(client.told, "2389")); i++) {
		client_open(&client, &both, cluster);
		assert_done(ask_get(&client, "/f/x"));
		member_kill(1);
		drive_for(&client, 200);
		outcome = (struct outcome){};
		assert_int_equal(etcd_put(client.etcd, "/f/x", "x", 0, 1500, note, &outcome, NULL, &error), 0);
		drive_until(&client, &outcome.count, 1, WAIT);
		assert_int_equal(outcome.result.error == 0, false);
		member_start(1);
		assert_done(ask_get(&client, "/f/x"));
		assert_non_null(strstr(client.told, "http://127.0.0.1:2389: is of another cluster of etcd ("));
		client_close(&client);
	}
	run("[ -z \"$(" CTL "get --prefix /f/)\" ]", port_of(2));
}

static void test_a_store_that_has_gone_back_is_read_anew(void **state)
{
	const struct etcd_settings settings = settings_of("http", 1, 1);
	static struct test_watch watch, again;
	struct outcome outcome;

	(void)state;
	client_open(&client, &settings, 0);
	outcome = ask_put(&client, "/b/x", "1");
	member_kill(1);
	run("cp -r m1 backup");
	member_start(1);
	watch_begin(&client, &watch, "/b/", outcome.revision);
	drive_until(&client, &watch.events, 1, WAIT);
	assert_done(ask_put(&client, "/b/x", "2"));
	drive_until(&client, &watch.events, 2, WAIT);
	member_kill(1);
	run("rm -rf m1 && mv backup m1");
	member_start(1);
	/* It would never hear of the next change, which comes at a revision that it knows. */
	drive_until(&client, &watch.lost, 1, WAIT);
	assert_int_equal(watch.error, -ESTALE);
	assert_non_null(strstr(watch.sentence, "it has gone back"));
	outcome = ask_get(&client, "/b/x");
	assert_string_equal(outcome.values_shown[0], "1");
	watch_begin(&client, &again, "/b/", outcome.revision + 1);
	assert_done(ask_put(&client, "/b/x", "3"));
	drive_until(&client, &again.events, 1, WAIT);
	assert_int_equal(again.lost, 0);
	client_close(&client);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_accepts_and_never_answers),
		cmocka_unit_test(test_one_that_is_no_etcd),
		cmocka_unit_test(test_a_foreign_cluster_is_left_alone),
		cmocka_unit_test(test_a_store_that_has_gone_back_is_read_anew),
	};

	return cmocka_run_group_tests(tests, start_group, etcd_tear_down);
}
