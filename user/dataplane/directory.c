/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of pins: where it may lie, and the lock that one writer at a time holds. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/internal.h"

#define LOCK_TRIES 1000
#define LOCK_PAUSE_NS 10000000L

static int refuse_directory(const char *dir, int code, struct error *error)
{
	const char *name = strrchr(dir, '/');

	if (code == -EPERM && name && strchr(name, '.'))
		return fail(error, code, "cannot use %s: a name in a bpffs cannot have a '.'", dir);
	return fail(error, code, "cannot use %s: %s", dir, explain_errno(code));
}

/* The directory, or the one that it would be made in, has to lie in a bpffs. */
int directory_check(const char *dir, struct error *error)
{
	char parent[256];
	struct statfs fs;
	char *slash;

	snprintf(parent, sizeof(parent), "%s", dir);
	if (statfs(parent, &fs)) {
		if (errno != ENOENT)
			return refuse_directory(dir, -errno, error);
		slash = strrchr(parent, '/');
		if (slash && slash != parent)
			*slash = 0;
		if (!slash || statfs(parent, &fs))
			return fail(error, -ENODEV, "cannot use %s: there is no directory %s", dir, parent);
	}
	if (fs.f_type != BPF_FS_MAGIC)
		return fail(error, -ENODEV, "%s is not in a bpffs: mount one with 'mount -t bpf bpf /sys/fs/bpf'", dir);
	return 0;
}

/* Is the directory that we hold locked still the one at the path? Another command may have removed it meanwhile. */
static bool still_there(int fd, const char *dir)
{
	struct stat held, now;

	return !fstat(fd, &held) && !stat(dir, &now) && held.st_ino == now.st_ino && held.st_dev == now.st_dev;
}

static int make_directory(const char *dir)
{
	if (!mkdir(dir, 0700))
		return keys_give(dir);
	return errno == EEXIST ? 0 : -errno;
}

int directory_lock(const char *dir, bool create, struct error *error)
{
	struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	int fd, result;

	for (int i = 0; i < LOCK_TRIES; i++) {
		result = create ? make_directory(dir) : 0;
		if (result)
			return refuse_directory(dir, result, error);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && (errno != ENOENT || !create))
			return errno == ENOENT ? fail(error, -ENOENT, "there is no state at %s", dir)
					       : fail(error, -errno, "cannot open %s: %s", dir, explain_errno(errno));
		if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB) && still_there(fd, dir))
			return fd;
		if (fd >= 0)
			close(fd);
		nanosleep(&pause, NULL);
	}
	return fail(error, -EBUSY, "another command has been changing %s for 10 s: wait for it, or end it", dir);
}
