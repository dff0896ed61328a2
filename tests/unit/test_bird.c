/* SPDX-License-Identifier: Apache-2.0 */
/* What is written for BIRD, and what is made of its replies: those of BIRD 2.0.12, and some that it should not give. */
#include "lib_model.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/bird.h"

#define GREETING "0001 BIRD 2.0.12 ready.\n"
#define ASKED_MAX 4

static char top[] = "/tmp/canary-bird-XXXXXX";
static char file[64], control[64];

/* Answers each connection's one command by the next of the replies. */
struct bird {
	int fd;
	const char *const *replies;
	int count;
	char asked[ASKED_MAX][64];
	pthread_t thread;
};

static int make_top(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	snprintf(file, sizeof(file), "%s/routes.conf", top);
	snprintf(control, sizeof(control), "%s/ctl", top);
	return 0;
}

static int remove_top(void **state)
{
	(void)state;
	unlink(file);
	unlink(control);
	return rmdir(top);
}

static void *answer(void *arg)
{
	struct bird *bird = arg;

	for (int i = 0; i < bird->count; i++) {
		int fd = accept(bird->fd, NULL, NULL);
		size_t len = strlen(bird->replies[i]);

		if (send(fd, GREETING, sizeof(GREETING) - 1, MSG_NOSIGNAL) < 0 ||
		    recv(fd, bird->asked[i], sizeof(bird->asked[i]) - 1, 0) < 0 ||
		    send(fd, bird->replies[i], len, MSG_NOSIGNAL) < 0)
			perror("the replies of BIRD");
		close(fd);
	}
	return NULL;
}

static void bird_starts(struct bird *bird, int count, const char *const *replies)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*bird = (struct bird){.replies = replies, .count = count};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", control);
	unlink(control);
	bird->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(bird->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(bird->fd, 4), 0);
	assert_int_equal(pthread_create(&bird->thread, NULL, answer, bird), 0);
}

static void bird_ends(struct bird *bird)
{
	pthread_join(bird->thread, NULL);
	close(bird->fd);
}

static void assert_file(const char *wanted)
{
	char text[1024];
	FILE *in = fopen(file, "r");
	size_t len;

	assert_non_null(in);
	len = fread(text, 1, sizeof(text) - 1, in);
	fclose(in);
	text[len] = '\0';
	assert_non_null(strchr(text, '\n'));
	assert_string_equal(strchr(text, '\n') + 1, wanted);
}

static void test_routes_are_written_in_a_protocol_for_each_family(void **state)
{
	const struct canary_addr addrs[] = {make_addr("2001:db8::10"), make_addr("203.0.113.10"),
					    make_addr("203.0.113.11")};
	struct error error;

	(void)state;
	assert_int_equal(bird_write_routes(file, addrs, 3, &error), 0);
	assert_file("protocol static canary4 {\n\tipv4;\n\troute 203.0.113.10/32 blackhole;\n"
		    "\troute 203.0.113.11/32 blackhole;\n}\n"
		    "protocol static canary6 {\n\tipv6;\n\troute 2001:db8::10/128 blackhole;\n}\n");
	assert_int_equal(bird_write_routes(file, NULL, 0, &error), 0);
	assert_file("protocol static canary4 {\n\tipv4;\n}\nprotocol static canary6 {\n\tipv6;\n}\n");
	assert_int_equal(bird_write_nothing(file, &error), 0);
	assert_file("");
	assert_int_equal(bird_write_nothing("/nonexistent/routes", &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nonexistent/routes"));
}

static int configure(const char *reply, struct error *error)
{
	struct bird bird;
	int err;

	bird_starts(&bird, 1, &reply);
	err = bird_configure(control, error);
	bird_ends(&bird);
	assert_string_equal(bird.asked[0], "configure soft\n");
	return err;
}

static void test_a_configuration_is_taken_or_refused(void **state)
{
	struct error error;

	(void)state;
	assert_int_equal(configure("0002-Reading configuration from /etc/bird.conf\n0003 Reconfigured\n", &error), 0);
	assert_int_equal(configure("0002-Reading configuration\n0004 Reconfiguration in progress\n", &error), 0);
	assert_int_equal(configure("+a message to all\n0002-Reading configuration\n still\n"
				   "0005 Reconfiguration already in progress, queueing new config\n",
				   &error),
			 0);
	assert_int_equal(configure("0002-Reading configuration\n8002 /etc/bird.conf:1:1 syntax error\n", &error),
			 -EINVAL);
	assert_non_null(strstr(error.text, "/etc/bird.conf:1:1 syntax error"));
	assert_int_equal(configure("0006 Reconfiguration ignored, shutting down\n", &error), -EINVAL);
	assert_non_null(strstr(error.text, "shutting down"));
	/* By a socket that may only look ("restrict"). */
	assert_int_equal(configure("8007 Access denied\n", &error), -EINVAL);
}

static int count_routes(int count, const char *const *replies, unsigned *ret, struct error *error)
{
	struct bird bird;
	int err;

	bird_starts(&bird, count, replies);
	err = bird_count_routes(control, ret, error);
	bird_ends(&bird);
	assert_string_equal(bird.asked[0], "show route protocol canary4 count\n");
	if (count > 1)
		assert_string_equal(bird.asked[1], "show route protocol canary6 count\n");
	return err;
}

static void test_routes_of_both_families_are_counted(void **state)
{
	static const char *const replies[] = {"1007-2 of 7 routes for 6 networks in table master4\n0000 \n",
					      "1007-1 of 1 routes for 1 networks in table master6\n0000 \n"};
	struct error error;
	unsigned count = 99;

	(void)state;
	assert_int_equal(count_routes(2, replies, &count, &error), 0);
	assert_int_equal(count, 3);
}

static void test_protocols_that_it_does_not_know_are_told_apart_from_none(void **state)
{
	static const char *const unknown[] = {"9001 syntax error, unexpected CF_SYM_UNDEFINED\n"};
	static const char *const odd[] = {"1007-some routes\n0000 \n"}, *const cut[] = {"1007-2 of 7 routes\n"};
	struct error error;
	unsigned count = 99;

	(void)state;
	assert_int_equal(count_routes(1, unknown, &count, &error), -ENOENT);
	assert_int_equal(count_routes(1, odd, &count, &error), -EPROTO);
	assert_int_equal(count_routes(1, cut, &count, &error), -ECONNRESET);
	assert_int_equal(count, 99);
}

static void test_where_nobody_listens_that_is_said(void **state)
{
	char longer[200];
	struct error error;
	unsigned count;

	(void)state;
	unlink(control);
	assert_int_equal(bird_configure(control, &error), -ECONNREFUSED);
	assert_non_null(strstr(error.text, "BIRD does not run"));
	assert_int_equal(bird_count_routes(control, &count, &error), -ECONNREFUSED);
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(bird_configure(longer, &error), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes_are_written_in_a_protocol_for_each_family),
		cmocka_unit_test(test_a_configuration_is_taken_or_refused),
		cmocka_unit_test(test_routes_of_both_families_are_counted),
		cmocka_unit_test(test_protocols_that_it_does_not_know_are_told_apart_from_none),
		cmocka_unit_test(test_where_nobody_listens_that_is_said),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
