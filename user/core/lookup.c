/* SPDX-License-Identifier: Apache-2.0 */
#include "core/lookup.h"

#include <errno.h>
#include <stdlib.h>

/* Elements with one key stand in the array's order. */
static int compare_items(const void *a, const void *b, void *arg)
{
	const struct lookup *lookup = arg;
	const char *x = *(const void *const *)a;
	const char *y = *(const void *const *)b;
	int order = lookup->compare(x, y);

	return order ? order : (x > y) - (x < y);
}

int lookup_make(const void *array, size_t count, size_t size, lookup_compare compare, struct lookup *ret)
{
	struct lookup lookup = {.count = count, .compare = compare};

	lookup.items = calloc(count ? count : 1, sizeof(*lookup.items));
	if (!lookup.items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		lookup.items[i] = (const char *)array + i * size;
	qsort_r(lookup.items, count, sizeof(*lookup.items), compare_items, &lookup);
	*ret = lookup;
	return 0;
}

void lookup_free(struct lookup *lookup)
{
	free(lookup->items);
	*lookup = (struct lookup){};
}

const void *lookup_find(const struct lookup *lookup, const void *like)
{
	size_t low = 0, high = lookup->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lookup->compare(lookup->items[middle], like) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == lookup->count || lookup->compare(lookup->items[low], like))
		return NULL;
	return lookup->items[low];
}

bool lookup_repeated(const struct lookup *lookup, const void **ret_earlier, const void **ret_later)
{
	const void *earlier = NULL, *later = NULL;

	for (size_t i = 1; i < lookup->count; i++) {
		if (lookup->compare(lookup->items[i - 1], lookup->items[i]))
			continue;
		if (!later || lookup->items[i] < later) {
			earlier = lookup->items[i - 1];
			later = lookup->items[i];
		}
	}
	if (!later)
		return false;
	*ret_earlier = earlier;
	*ret_later = later;
	return true;
}
