/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server of the daemon's API listens, and where it does not. */
#include "io/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static const struct http_route routes[] = {{}};
static char directory[] = "/tmp/test_http.XXXXXX";
static char path[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/canaryd.sock", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int try_to_listen(struct http_server **ret, struct error *error)
{
	int result = http_server_open(routes, NULL, ret, error);

	assert_int_equal(result, 0);
	return http_server_listen_unix(*ret, path, "nogroup", error);
}

static void test_a_stale_socket_is_replaced_a_live_one_is_not(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct http_server *first, *second;
	struct error error = {};
	struct stat status;
	int stale = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
	close(stale);
	assert_int_equal(try_to_listen(&first, &error), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0660);
	if (geteuid() == 0)
		assert_int_equal(status.st_gid, getgrnam("nogroup")->gr_gid);
	assert_int_equal(try_to_listen(&second, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, "another process listens on it"));
	http_server_close(second);
	assert_int_equal(access(path, F_OK), 0);
	/* Somebody removed it, and another server took the place: it is that one's. */
	unlink(path);
	assert_int_equal(try_to_listen(&second, &error), 0);
	http_server_close(first);
	assert_int_equal(access(path, F_OK), 0);
	http_server_close(second);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_what_is_no_socket_is_left_alone(void **state)
{
	struct http_server *refused;
	struct error error = {};
	struct stat status;

	(void)state;
	close(open(path, O_CREAT | O_WRONLY, 0644));
	assert_int_equal(try_to_listen(&refused, &error), -EEXIST);
	assert_non_null(strstr(error.text, "is there already and is no socket"));
	http_server_close(refused);
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISREG(status.st_mode));
	unlink(path);
}

static int connects(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int code = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;

	close(fd);
	return code;
}

/* Not on every address of the host: who says no address has said nothing of strangers. */
static void test_without_an_address_it_listens_on_this_host_alone(void **state)
{
	static const char *const endpoints[] = {":0", "localhost:0"};
	struct sockaddr_in address = {};
	struct error error = {};

	(void)state;
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		struct http_server *server;

		assert_int_equal(http_server_open(routes, NULL, &server, &error), 0);
		if (http_server_listen_address(server, endpoints[i], &error))
			fail_msg("%s: %s", endpoints[i], error.text);
		/* Another address of the loopback's is one as of the network: taken only by a socket on all of them. */
		address.sin_family = AF_INET;
		address.sin_port = htons(http_server_port(server));
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
		assert_int_equal(connects(&address), -ECONNREFUSED);
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		assert_int_equal(connects(&address), 0);
		http_server_close(server);
	}
}

static void test_places_where_one_cannot_listen_are_named(void **state)
{
	static const struct {
		const char *endpoint;
		int code;
	} cases[] = {
		{"127.0.0.1", -EINVAL},
		{"localhost", -EINVAL},
		{"localhost:", -EINVAL},
		{"localhost:99999", -EINVAL},
		{"localhostess:80", -EINVAL},
		{"balancer.example:80", -EINVAL},
		{"8080", -EINVAL},
		{":", -EINVAL},
		{":x", -EINVAL},
		{"::1", -EINVAL},
		{":00000000000000000000000000000080", -EINVAL},
		{"", -EINVAL},
		{"192.0.2.1:80", -EADDRNOTAVAIL},
	};
	struct http_server *refused;
	struct error error = {};
	char longest[200];

	(void)state;
	assert_int_equal(http_server_open(routes, NULL, &refused, &error), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(http_server_listen_address(refused, cases[i].endpoint, &error), cases[i].code);
	memset(longest, 'x', sizeof(longest));
	longest[199] = '\0';
	assert_int_equal(http_server_listen_unix(refused, longest, NULL, &error), -ENAMETOOLONG);
	assert_int_equal(http_server_listen_unix(refused, "/nonexistent/socket", NULL, &error), -ENOENT);
	http_server_close(refused);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stale_socket_is_replaced_a_live_one_is_not),
		cmocka_unit_test(test_what_is_no_socket_is_left_alone),
		cmocka_unit_test(test_without_an_address_it_listens_on_this_host_alone),
		cmocka_unit_test(test_places_where_one_cannot_listen_are_named),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
