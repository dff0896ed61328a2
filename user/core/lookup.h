/* SPDX-License-Identifier: Apache-2.0 */
/* An array's elements in order of a key, beside the array: to find one by its key, and those that share a key. */
#ifndef CORE_LOOKUP_H
#define CORE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

typedef int (*lookup_compare)(const void *a, const void *b); /* of two elements, by their keys; as for qsort() */

struct lookup {
	const void **items; /* into the array, which must stay where it is */
	size_t count;
	lookup_compare compare;
};

/* 0 or -ENOMEM. */
int lookup_make(const void *array, size_t count, size_t size, lookup_compare compare, struct lookup *ret);
void lookup_free(struct lookup *lookup);

/* The first of the array's elements whose key is that of `like`; NULL: there is none. */
const void *lookup_find(const struct lookup *lookup, const void *like);

/* The first of the array's elements that repeats the key of an earlier one. */
bool lookup_repeated(const struct lookup *lookup, const void **ret_earlier, const void **ret_later);

#endif
