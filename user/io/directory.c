/* SPDX-License-Identifier: Apache-2.0 */
#include "io/directory.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_ABOVE 0755

static int make(const char *path, mode_t mode, struct error *error)
{
	struct stat status;

	if (!mkdir(path, mode))
		return 0;
	/* Not only EEXIST: where one may not write, an automounter or a read-only root tells otherwise. */
	if (!stat(path, &status))
		return S_ISDIR(status.st_mode)
			       ? 0
			       : fail(error, -ENOTDIR, "cannot make %s: it is there and is no directory", path);
	return fail(error, -errno, "cannot make %s: %s", path, strerror(errno));
}

static int too_long(const char *path, struct error *error)
{
	return fail(error, -ENAMETOOLONG, "the name of the directory is too long: %.64s...", path);
}

int directory_make(const char *path, mode_t mode, struct error *error)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	int err = 0;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len >= sizeof(part))
		return too_long(path, error);
	for (size_t i = 1; !err && i < len; i++) {
		if (path[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		err = make(part, MODE_ABOVE, error);
	}
	snprintf(part, sizeof(part), "%.*s", (int)len, path);
	return err ? err : make(part, mode, error);
}

int directory_give(const char *path, int fd)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];
	struct stat status;

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	if (geteuid() || stat(directory, &status) || !status.st_uid)
		return 0;
	return fchown(fd, status.st_uid, status.st_gid) ? -errno : 0;
}

int directory_make_of(const char *file, mode_t mode, struct error *error)
{
	const char *slash = strrchr(file, '/');
	char path[PATH_MAX];

	if (!slash || slash == file)
		return 0;
	if (slash - file >= (ptrdiff_t)sizeof(path))
		return too_long(file, error);
	snprintf(path, sizeof(path), "%.*s", (int)(slash - file), file);
	return directory_make(path, mode, error);
}
