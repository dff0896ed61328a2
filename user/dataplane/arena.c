/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/internal.h"

int arena_open(const struct dataplane *dataplane, __u32 base, __u32 words, bool write, struct arena_window *ret)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t start = (size_t)base * sizeof(__u64);
	size_t aligned = start / page * page;
	size_t length = start - aligned + (size_t)words * sizeof(__u64);
	void *map;

	map = mmap(NULL, length, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, dataplane->fd[MAP_arena],
		   aligned);
	if (map == MAP_FAILED)
		return -errno;
	ret->map = map;
	ret->length = length;
	ret->words = (__u64 *)((char *)map + (start - aligned));
	return 0;
}

void arena_close(struct arena_window *window)
{
	munmap(window->map, window->length);
}
