/* SPDX-License-Identifier: Apache-2.0 */
/* Windows on parts of mapped arrays, for those that are too large, or too seldom needed, to be mapped whole. */
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

int arena_open(const struct dataplane *dataplane, __u32 base, __u32 words, bool write, struct arena_window *ret)
{
	int result = array_open(dataplane, MAP_arena, (size_t)base * sizeof(__u64), (size_t)words * sizeof(__u64),
				write, &ret->array);

	if (!result)
		ret->words = ret->array.data;
	return result;
}

void arena_close(struct arena_window *window)
{
	array_close(&window->array);
}
