/* SPDX-License-Identifier: Apache-2.0 */
/* What is due, and when, the first of them at hand: a binary heap, in which each knows its place. */
#ifndef CORE_DUE_H
#define CORE_DUE_H

#include <linux/types.h>
#include <stddef.h>

#define DUE_NEVER ((__s64)((__u64)-1 >> 1))

/* A part of whatever is due. */
struct due {
	__s64 at; /* on any clock */
	size_t place;
};

struct due_heap {
	struct due **items;
	size_t count, room;
};

int due_add(struct due_heap *heap, struct due *due); /* 0 or -ENOMEM */
void due_remove(struct due_heap *heap, struct due *due);
void due_change(struct due_heap *heap, struct due *due, __s64 at);
struct due *due_first(const struct due_heap *heap); /* NULL: there is none */
void due_free(struct due_heap *heap); /* not what is in it */

#endif
