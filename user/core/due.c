/* SPDX-License-Identifier: Apache-2.0 */
#include "core/due.h"

#include <errno.h>
#include <stdlib.h>

static void put(struct due_heap *heap, size_t place, struct due *due)
{
	heap->items[place] = due;
	due->place = place;
}

static void rise(struct due_heap *heap, struct due *due)
{
	size_t place = due->place;

	for (; place && heap->items[(place - 1) / 2]->at > due->at; place = (place - 1) / 2)
		put(heap, place, heap->items[(place - 1) / 2]);
	put(heap, place, due);
}

static void sink(struct due_heap *heap, struct due *due)
{
	size_t place = due->place, child;

	for (; (child = 2 * place + 1) < heap->count; place = child) {
		if (child + 1 < heap->count && heap->items[child + 1]->at < heap->items[child]->at)
			child++;
		if (heap->items[child]->at >= due->at)
			break;
		put(heap, place, heap->items[child]);
	}
	put(heap, place, due);
}

int due_add(struct due_heap *heap, struct due *due)
{
	if (heap->count == heap->room) {
		size_t room = heap->room ? 2 * heap->room : 16;
		struct due **items = reallocarray(heap->items, room, sizeof(struct due *));

		if (!items)
			return -ENOMEM;
		heap->items = items;
		heap->room = room;
	}
	due->place = heap->count++;
	rise(heap, due);
	return 0;
}

void due_change(struct due_heap *heap, struct due *due, __s64 at)
{
	due->at = at;
	rise(heap, due);
	sink(heap, due);
}

void due_remove(struct due_heap *heap, struct due *due)
{
	struct due *last = heap->items[--heap->count];

	if (last == due)
		return;
	put(heap, due->place, last);
	due_change(heap, last, last->at);
}

struct due *due_first(const struct due_heap *heap)
{
	return heap->count ? heap->items[0] : NULL;
}

void due_free(struct due_heap *heap)
{
	free(heap->items);
	*heap = (struct due_heap){};
}
