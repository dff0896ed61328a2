/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that a server listens on. */
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/text.h"
#include "io/http_private.h"

#define BACKLOG 4096 /* a unix socket with a full queue refuses, at once, whoever does not want to block */

/* May the path be taken? Only a socket that refuses is stale. */
static int check_stale(const struct sockaddr_un *address, struct error *error)
{
	struct stat status;
	int fd, code;

	if (lstat(address->sun_path, &status))
		return errno == ENOENT ? 0
				       : fail(error, -errno, "%s: cannot be used as a socket: %s", address->sun_path,
					      strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return fail(error, -EEXIST, "%s: is there already and is no socket", address->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(error, -errno, "cannot make a socket: %s", strerror(errno));
	code = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
	close(fd);
	/* EAGAIN: somebody listens, whose queue is full. */
	if (code == ECONNREFUSED || code == ENOENT)
		return 0;
	return fail(error, -EADDRINUSE, "%s: another process listens on it", address->sun_path);
}

static void give_to_group(const char *path, const char *group)
{
	const struct group *entry = group ? getgrnam(group) : NULL;

	/* Who may not give it away has a socket for itself alone, which is no less safe. */
	if (entry && lchown(path, -1, entry->gr_gid))
		return;
}

/*
 * Under another name first: nobody meets a socket at the path that has not its mode and group yet, or refuses because it
 * does not listen yet.
 */
int http_socket_unix(const char *path, const char *group, struct stat *ret_status, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}, new = {.sun_family = AF_UNIX};
	int fd, result;

	if (snprintf(new.sun_path, sizeof(new.sun_path), "%s.new", path) >= (int)sizeof(new.sun_path))
		return fail(error, -ENAMETOOLONG, "%s: is too long for a socket's path (%zu at most)", path,
			    sizeof(new.sun_path) - sizeof(".new"));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	result = check_stale(&address, error);
	if (result)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(error, -errno, "cannot make a socket: %s", strerror(errno));
	unlink(new.sun_path);
	if (fchmod(fd, 0660) || bind(fd, (struct sockaddr *)&new, sizeof(new)) || chmod(new.sun_path, 0660)) {
		result = fail(error, -errno, "%s: cannot be made: %s", path, strerror(errno));
		goto close;
	}
	give_to_group(new.sun_path, group);
	if (listen(fd, BACKLOG) || lstat(new.sun_path, ret_status) || rename(new.sun_path, path)) {
		result = fail(error, -errno, "%s: cannot be listened on: %s", path, strerror(errno));
		unlink(new.sun_path);
		goto close;
	}
	return fd;
close:
	close(fd);
	return result;
}

/* Without an address: this host's own. Everybody on the network is let in only by who says so. */
static int parse_listen(const char *endpoint, struct canary_addr *ret_addr, int *ret_port)
{
	static const char localhost[] = "localhost";
	size_t len = strncmp(endpoint, localhost, sizeof(localhost) - 1) ? 0 : sizeof(localhost) - 1;
	char text[32];
	bool local = endpoint[len] == ':' && endpoint[len + 1] != ':';

	if (local && snprintf(text, sizeof(text), "127.0.0.1%s", endpoint + len) >= (int)sizeof(text))
		return -EINVAL;
	return parse_endpoint(local ? text : endpoint, ret_addr, ret_port);
}

int http_socket_address(const char *endpoint, struct error *error)
{
	struct sockaddr_storage address = {};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
	struct canary_addr addr;
	const int on = 1;
	int fd, port, code;
	socklen_t len;

	if (parse_listen(endpoint, &addr, &port) || port == PORT_DEFAULT)
		return fail(
			error, -EINVAL,
			"%s: is no ADDRESS:PORT to listen on: give it like 192.0.2.1:8080 or [2001:db8::1]:8080, or "
			"localhost:8080 or :8080 for this host alone",
			endpoint);
	if (addr_is_v4(&addr)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, (const char *)&addr + 12, 4);
		len = sizeof(*v4);
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		memcpy(&v6->sin6_addr, &addr, 16);
		len = sizeof(*v6);
	}
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(error, -errno, "cannot make a socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || bind(fd, (struct sockaddr *)&address, len) ||
	    listen(fd, BACKLOG)) {
		code = -errno;
		close(fd);
		return fail(error, code, "%s: cannot be listened on: %s", endpoint, strerror(-code));
	}
	return fd;
}
