/* SPDX-License-Identifier: Apache-2.0 */
#include "io/bird.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/text.h"
#include "io/file.h"

#define PATIENCE_S 5 /* for each line: to read a configuration of many filters takes its time */
#define REPLY_TEXT_LEN 512
#define HEAD "# Written by canaryctl, and again at every change: see HOSTS in canaryctl(8).\n"

enum reply_code {
	REPLY_RECONFIGURED = 3,
	REPLY_IN_PROGRESS = 4,
	REPLY_QUEUED = 5,
	REPLY_NO_SUCH_PROTOCOL = 8003,
	REPLY_ERRORS = 8000, /* from here on */
	REPLY_SYNTAX_ERROR = 9001, /* also of names that it does not know */
};

/* Its last line, and the first one with data (before the last, another code). */
struct reply {
	int code;
	char text[REPLY_TEXT_LEN];
	char first[REPLY_TEXT_LEN];
};

/* ---- the file ---- */

static void write_protocol(FILE *out, const char *name, const char *channel, const struct canary_addr *addrs,
			   size_t count, bool v4)
{
	char text[ADDR_TEXT_LEN];

	fprintf(out, "protocol static %s {\n\t%s;\n", name, channel);
	for (size_t i = 0; i < count; i++) {
		if (addr_is_v4(&addrs[i]) == v4)
			fprintf(out, "\troute %s/%d blackhole;\n", format_addr(&addrs[i], text), v4 ? 32 : 128);
	}
	fputs("}\n", out);
}

static int replace(const char *path, const char *text, struct error *error)
{
	/* BIRD reads it as a user of its own. */
	int err = text ? file_replace(path, 0644, text) : -ENOMEM;

	return err ? fail(error, err, "the routes cannot be written to %s: %s", path, strerror(-err)) : 0;
}

int bird_write_routes(const char *path, const struct canary_addr *addrs, size_t count, struct error *error)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int err;

	if (!out)
		return replace(path, NULL, error);
	fputs(HEAD, out);
	write_protocol(out, BIRD_PROTOCOL_V4, "ipv4", addrs, count, true);
	write_protocol(out, BIRD_PROTOCOL_V6, "ipv6", addrs, count, false);
	err = replace(path, fclose(out) ? NULL : text, error);
	free(text);
	return err;
}

int bird_write_nothing(const char *path, struct error *error)
{
	return replace(path, HEAD, error);
}

/* ---- the socket ---- */

static int say_unheard(const char *socket, int err, struct error *error)
{
	if (err == -ENOENT || err == -ECONNREFUSED)
		return fail(error, -ECONNREFUSED,
			    "BIRD does not run, or has another control socket than %s (--bird of host routes)", socket);
	return fail(error, err, "BIRD does not answer at %s: %s", socket, strerror(-err));
}

static int connect_to(const char *path, int *ret)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, err = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err = -errno;
	if (err)
		close(fd);
	else
		*ret = fd;
	return err;
}

/* "NNNN-text" and " text" go on, "NNNN text" ends it; "+text" is no part of it, but a message to all that listen. */
static int read_reply(FILE *bird, struct reply *ret)
{
	char line[REPLY_TEXT_LEN];

	*ret = (struct reply){};
	for (;;) {
		bool coded;

		errno = 0;
		if (!fgets(line, sizeof(line), bird))
			return errno == EAGAIN ? -ETIMEDOUT : errno ? -errno : -ECONNRESET;
		line[strcspn(line, "\n")] = '\0';
		coded = isdigit((unsigned char)line[0]) && strlen(line) > 4;
		if (coded && line[4] == ' ') {
			ret->code = atoi(line);
			snprintf(ret->text, sizeof(ret->text), "%s", line + 5);
			return 0;
		}
		if (coded && !ret->first[0])
			snprintf(ret->first, sizeof(ret->first), "%s", line + 5);
	}
}

/* A command, on a connection of its own: after the greeting, its reply. */
static int ask(const char *socket, const char *command, struct reply *ret, struct error *error)
{
	FILE *bird = NULL;
	int fd = -1, err = connect_to(socket, &fd);

	if (!err) {
		bird = fdopen(fd, "r");
		if (!bird) {
			close(fd);
			err = -ENOMEM;
		}
	}
	if (!err)
		err = read_reply(bird, ret);
	if (!err && send(fd, command, strlen(command), MSG_NOSIGNAL) != (ssize_t)strlen(command))
		err = -EPIPE;
	if (!err)
		err = read_reply(bird, ret);
	if (bird)
		fclose(bird);
	return err ? say_unheard(socket, err, error) : 0;
}

int bird_configure(const char *socket, struct error *error)
{
	struct reply reply;
	int err = ask(socket, "configure soft\n", &reply, error);

	if (err)
		return err;
	switch (reply.code) {
	case REPLY_RECONFIGURED:
	case REPLY_IN_PROGRESS:
	case REPLY_QUEUED:
		return 0;
	default:
		return fail(error, -EINVAL, "BIRD does not take its configuration: %s", reply.text);
	}
}

static int count_routes_of(const char *socket, const char *protocol, unsigned *ret, struct error *error)
{
	struct reply reply;
	char command[64];
	int err;

	snprintf(command, sizeof(command), "show route protocol %s count\n", protocol);
	err = ask(socket, command, &reply, error);
	if (err)
		return err;
	if (reply.code == REPLY_SYNTAX_ERROR || reply.code == REPLY_NO_SUCH_PROTOCOL)
		return fail(error, -ENOENT, "BIRD has no protocol %s", protocol);
	/* "1 of 5 routes for 5 networks in table master4": of the table, so many are the protocol's. */
	if (reply.code >= REPLY_ERRORS || sscanf(reply.first, "%u of", ret) != 1)
		return fail(error, -EPROTO, "BIRD does not say how many routes of %s it has: %s", protocol, reply.text);
	return 0;
}

int bird_count_routes(const char *socket, unsigned *ret, struct error *error)
{
	unsigned v4, v6;
	int err = count_routes_of(socket, BIRD_PROTOCOL_V4, &v4, error);

	if (!err)
		err = count_routes_of(socket, BIRD_PROTOCOL_V6, &v6, error);
	if (!err)
		*ret = v4 + v6;
	return err;
}
