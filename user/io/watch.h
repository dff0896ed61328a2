/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An epoll set with a timer: how a part that waits for several things shows itself to an event loop as one descriptor.
 * The loop watches `epoll` for EPOLLIN (it never becomes anything else) and then calls the part's own run function.
 */
#ifndef IO_WATCH_H
#define IO_WATCH_H

#include <linux/types.h>
#include <stdbool.h>
#include <sys/epoll.h>

struct watch {
	int epoll;
	int timer;
};

#define WATCH_NEVER (-1)
#define WATCH_CLOSED                                                                                                   \
	{                                                                                                              \
		-1, -1                                                                                                 \
	}

int watch_open(struct watch *ret); /* 0 or -errno, *ret untouched then */
void watch_close(struct watch *watch);

/* `data` comes back with the event; it must not be NULL, which is the timer's. 0 or -errno. */
int watch_add(struct watch *watch, int fd, __u32 events, void *data);
int watch_change(struct watch *watch, int fd, __u32 events, void *data);
void watch_remove(struct watch *watch, int fd);

/* The timer rings once, in so many milliseconds; 0: at once; WATCH_NEVER: not at all. The last call counts. */
void watch_arm(struct watch *watch, long milliseconds);

/* What is ready now, without waiting: how many events. *ret_rang: the timer rang, which is none of them. */
int watch_ready(struct watch *watch, struct epoll_event *events, int max, bool *ret_rang);

__s64 clock_ms(void); /* CLOCK_MONOTONIC */

#endif
