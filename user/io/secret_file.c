/* SPDX-License-Identifier: Apache-2.0 */
#include "io/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor, or -errno. */
static int open_checked(const char *path, struct error *error)
{
	/* What is no file must not make us wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err = 0;
	struct stat status;

	if (fd < 0)
		return fail(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
	if (fstat(fd, &status))
		err = fail(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
	else if (!S_ISREG(status.st_mode))
		err = fail(error, -EINVAL, "%s: is no file", path);
	else if (status.st_uid && status.st_uid != geteuid())
		err = fail(error, -EPERM, "%s: belongs to user %u, who knows what is in it: chown it to root or to us",
			   path, status.st_uid);
	else if (status.st_mode & 077)
		err = fail(error, -EPERM, "%s: may be read by others: chmod 600 it", path);
	if (err)
		close(fd);
	return err ? err : fd;
}

int secret_file_check(const char *path, struct error *error)
{
	int fd = open_checked(path, error);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int secret_file_read(const char *path, char *ret, size_t size, struct error *error)
{
	int fd = open_checked(path, error), err = 0;
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		return fd;
	while (len < size && (got = read(fd, ret + len, size - len)) > 0)
		len += (size_t)got;
	if (len < size)
		ret[len] = '\0';
	if (len == size && !memchr(ret, '\n', len))
		err = fail(error, -EINVAL, "%s: its first line is longer than %zu bytes", path, size - 1);
	else
		ret[strcspn(ret, "\r\n")] = '\0';
	if (!err && !ret[0])
		err = fail(error, -EINVAL, "%s: its first line is empty", path);
	if (err)
		explicit_bzero(ret, size);
	close(fd);
	return err;
}
