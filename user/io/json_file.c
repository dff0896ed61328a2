/* SPDX-License-Identifier: Apache-2.0 */
#include "io/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/directory.h"

static int write_new(const char *path, const char *new, const json_t *root)
{
	int fd, err;

	/* What a process that was killed has left may be another user's. */
	unlink(new);
	fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = directory_give(path, fd);
	errno = 0;
	if (!err && (json_dumpfd(root, fd, JSON_COMPACT) || fsync(fd)))
		err = errno ? -errno : -EIO;
	close(fd);
	if (!err && rename(new, path))
		err = -errno;
	return err;
}

/* So that the new name is on the disk as well. */
static int sync_directory(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, err;

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	return err;
}

int json_file_save(const char *path, json_t *root, struct error *error)
{
	char new[PATH_MAX];
	int err = 0;

	if (!root) {
		if (unlink(path) && errno != ENOENT)
			return fail(error, -errno, "%s: cannot be removed: %s", path, strerror(errno));
		return 0;
	}
	if (snprintf(new, sizeof(new), "%s.new", path) >= (int)sizeof(new))
		err = -ENAMETOOLONG;
	if (!err)
		err = write_new(path, new, root);
	json_decref(root);
	if (err)
		unlink(new);
	else
		err = sync_directory(path);
	return err ? fail(error, err, "%s: cannot be written: %s", path, strerror(-err)) : 0;
}
