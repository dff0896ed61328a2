/* SPDX-License-Identifier: Apache-2.0 */
#include "io/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* If the disk is full, the lock holds nevertheless: only its holder's number is missing. */
static void note_holder(int fd)
{
	char holder[24];
	ssize_t len = snprintf(holder, sizeof(holder), "%d\n", getpid());

	if (!ftruncate(fd, 0) && pwrite(fd, holder, (size_t)len, 0) == len)
		return;
	if (ftruncate(fd, 0))
		return;
}

int lock_file(const char *name, const char *what, int *ret, struct error *error)
{
	char holder[24] = "";
	ssize_t len;
	int fd;

	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(error, -errno, "%s: cannot be opened: %s", name, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int code = -errno;

		len = pread(fd, holder, sizeof(holder) - 1, 0);
		close(fd);
		if (code != -EWOULDBLOCK)
			return fail(error, code, "%s: cannot be locked: %s", name, strerror(-code));
		return fail(error, -EBUSY, "%s: another canaryd has it, process %.*s", what,
			    len > 0 ? (int)strcspn(holder, "\n") : 1, len > 0 ? holder : "?");
	}
	note_holder(fd);
	*ret = fd;
	return 0;
}
