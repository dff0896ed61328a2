/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's API on its socket: a whole daemon, but for the ticks of its loop, answers every request, in time or when
 * its asker goes; with JSON, which on an error is a sentence; and never with 500.
 *
 * Input: a method and a path with its query, separated by a space; after the end of that line, the body.
 */
#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "fuzz/fuzz.h"

#define CONFIG "tests/data/accepted/rollout.yaml"

enum { TURNS = 200, REQUEST_MAX = 1 << 17, ANSWER_MAX = 1 << 20 };

static struct daemon server;
static char directory[] = "/tmp/canary-fuzz-XXXXXX";

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status, (void)type, (void)where;
	return remove(path);
}

static void tidy(void)
{
	daemon_close(&server);
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *file_in(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		abort();
	return path;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct daemon_options options = {.file = CONFIG};
	struct error error;
	sigset_t all;

	(void)argc, (void)argv;
	if (!mkdtemp(directory))
		fuzz_fail("cannot make a directory: %s", strerror(errno));
	options.state_dir = file_in("state");
	options.socket = file_in("socket");
	options.instance = (struct instance){.dir = file_in("pins"), .key_file = file_in("keys")};
	if (daemon_open(&server, &options, &error))
		fuzz_fail("%s", error.text);
	atexit(tidy);
	/* A daemon reads its signals in the loop, which does not run here. */
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	return 0;
}

static int connect_to_it(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server.options.socket);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fuzz_fail("cannot connect: %s", strerror(errno));
	return fd;
}

static size_t put_path(char *at, const char *path, size_t len)
{
	size_t size = 0;

	for (size_t i = 0; i < len; i++)
		if (path[i] <= ' ' || path[i] > '~')
			size += (size_t)sprintf(at + size, "%%%02x", (unsigned char)path[i]);
		else
			at[size++] = path[i];
	return size;
}

/* What a client makes of it: a request that HTTP allows, with a body of that length. 0: it cannot be one. */
static size_t make_request(const char *data, size_t size, char *request)
{
	const char *end = memchr(data, '\n', size), *space;
	const char *body = end ? end + 1 : data + size;
	size_t line = (size_t)((end ? end : body) - data), len = (size_t)(data + size - body), made;

	space = memchr(data, ' ', line);
	if (!space || space == data || space - data > 16 || line > 4096)
		return 0;
	for (const char *at = data; at < space; at++)
		if (!isupper((unsigned char)*at))
			return 0;
	made = (size_t)sprintf(request, "%.*s /", (int)(space - data), data);
	made += put_path(request + made, space + 1, (size_t)(data + line - space - 1));
	made += (size_t)sprintf(request + made,
				" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", len);
	memcpy(request + made, body, len);
	return made + len;
}

/* How long the answer is; 0: there is none, as the call waits. */
static size_t talk(int fd, const char *request, size_t len, char *answer)
{
	size_t sent = 0, got = 0;

	for (int turn = 0; turn < TURNS; turn++) {
		ssize_t now = sent < len ? send(fd, request + sent, len - sent, MSG_NOSIGNAL) : 0;

		sent += now > 0 ? (size_t)now : 0;
		http_server_run(server.server);
		while ((now = recv(fd, answer + got, ANSWER_MAX - got, 0)) > 0)
			got += (size_t)now;
		if (!now)
			return got;
	}
	return got;
}

static void check_body(unsigned status, const char *body)
{
	json_t *json = json_loads(body, 0, NULL);
	const char *error = json_string_value(json_object_get(json, "error"));

	if (!json)
		fuzz_fail("status %u with what is no JSON: %s", status, body);
	if (status >= 400 && (!error || !*error))
		fuzz_fail("status %u without a sentence: %s", status, body);
	json_decref(json);
}

static void check_answer(const char *answer, bool head)
{
	const char *body = strstr(answer, "\r\n\r\n");
	unsigned status = 0;

	if (sscanf(answer, "HTTP/1.%*1[01] %u ", &status) != 1 || !body)
		fuzz_fail("that is no answer: %s", answer);
	if (status == 500)
		fuzz_fail("the daemon failed: %s", answer);
	/* The library's own, of a request that is none. */
	if (!head && strstr(answer, "application/json"))
		check_body(status, body + 4);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static char request[4 * REQUEST_MAX], answer[ANSWER_MAX + 1];
	size_t len;
	int fd;

	if (size > REQUEST_MAX)
		return 0;
	len = make_request((const char *)data, size, request);
	if (!len)
		return 0;
	fd = connect_to_it();
	len = talk(fd, request, len, answer);
	answer[len] = '\0';
	close(fd);
	for (int turn = 0; turn < 3; turn++)
		http_server_run(server.server); /* it notices */
	if (len == ANSWER_MAX)
		return 0; /* a history that has grown long: the rest is not looked at */
	if (len)
		check_answer(answer, !strncmp(request, "HEAD ", 5));
	else if (!server.waiters && !strcasestr(request, "transitions"))
		fuzz_fail("no answer");
	return 0;
}
