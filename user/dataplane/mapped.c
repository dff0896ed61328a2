/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel maps a BPF array page by page when it is asked to, a third of a microsecond each: the large arrays as a whole
 * would be most of what a change of one service takes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/internal.h"

struct mapped {
	int fd;
	int protection;
	size_t element, count, page, pages;
	char *base; /* address space for all of it */
	bool present[]; /* by page */
};

struct mapped *mapped_reserve(int fd, size_t element, size_t count, bool write)
{
	size_t page = sysconf(_SC_PAGESIZE), pages = (element * count + page - 1) / page;
	struct mapped *mapped = calloc(1, sizeof(*mapped) + pages * sizeof(*mapped->present));
	void *base;

	if (!mapped)
		return NULL;
	base = mmap(NULL, pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		free(mapped);
		return NULL;
	}
	mapped->fd = fd;
	mapped->protection = write ? PROT_READ | PROT_WRITE : PROT_READ;
	mapped->element = element;
	mapped->count = count;
	mapped->page = page;
	mapped->pages = pages;
	mapped->base = base;
	return mapped;
}

void mapped_free(struct mapped *mapped)
{
	if (!mapped)
		return;
	munmap(mapped->base, mapped->pages * mapped->page);
	free(mapped);
}

static int map_pages(struct mapped *mapped, size_t first, size_t end)
{
	void *at = mapped->base + first * mapped->page;

	if (mmap(at, (end - first) * mapped->page, mapped->protection, MAP_SHARED | MAP_FIXED, mapped->fd,
		 first * mapped->page) == MAP_FAILED)
		return -errno;
	for (size_t page = first; page < end; page++)
		mapped->present[page] = true;
	return 0;
}

void *mapped_at(struct mapped *mapped, size_t index, size_t count)
{
	size_t begin = index * mapped->element;
	size_t end = (begin + count * mapped->element + mapped->page - 1) / mapped->page;

	if (index + count > mapped->count) {
		errno = ERANGE;
		return NULL;
	}
	for (size_t page = begin / mapped->page; page < end; page++) {
		size_t first = page;

		while (page < end && !mapped->present[page])
			page++;
		if (page > first && map_pages(mapped, first, page))
			return NULL;
	}
	return mapped->base + begin;
}
