/* SPDX-License-Identifier: Apache-2.0 */
/* Windows on parts of mapped arrays, for those that are seldom needed. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/internal.h"

int array_open(const struct dataplane *dataplane, enum dataplane_map array, size_t start, size_t size, bool write,
	       struct array_window *ret)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t aligned = start / page * page;
	size_t length = start - aligned + size;
	void *map;

	map = mmap(NULL, length, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, dataplane->fd[array], aligned);
	if (map == MAP_FAILED)
		return -errno;
	ret->map = map;
	ret->length = length;
	ret->data = (char *)map + (start - aligned);
	return 0;
}

void array_close(struct array_window *window)
{
	munmap(window->map, window->length);
}
