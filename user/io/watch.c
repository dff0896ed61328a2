/* SPDX-License-Identifier: Apache-2.0 */
#include "io/watch.h"

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int watch_open(struct watch *ret)
{
	struct watch watch = WATCH_CLOSED;
	int error;

	watch.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (watch.epoll < 0)
		return -errno;
	watch.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	error = watch.timer < 0 ? -errno : watch_add(&watch, watch.timer, EPOLLIN, NULL);
	if (error) {
		watch_close(&watch);
		return error;
	}
	*ret = watch;
	return 0;
}

void watch_close(struct watch *watch)
{
	if (watch->timer >= 0)
		close(watch->timer);
	if (watch->epoll >= 0)
		close(watch->epoll);
	watch->timer = watch->epoll = -1;
}

static int control(struct watch *watch, int operation, int fd, __u32 events, void *data)
{
	struct epoll_event event = {.events = events, .data.ptr = data};

	return epoll_ctl(watch->epoll, operation, fd, &event) ? -errno : 0;
}

int watch_add(struct watch *watch, int fd, __u32 events, void *data)
{
	return control(watch, EPOLL_CTL_ADD, fd, events, data);
}

int watch_change(struct watch *watch, int fd, __u32 events, void *data)
{
	return control(watch, EPOLL_CTL_MOD, fd, events, data);
}

void watch_remove(struct watch *watch, int fd)
{
	control(watch, EPOLL_CTL_DEL, fd, 0, NULL);
}

void watch_arm(struct watch *watch, long milliseconds)
{
	struct itimerspec at = {};

	if (milliseconds >= 0) {
		at.it_value.tv_sec = milliseconds / 1000;
		/* All zero would disarm it. */
		at.it_value.tv_nsec = milliseconds ? milliseconds % 1000 * 1000000 : 1;
	}
	timerfd_settime(watch->timer, 0, &at, NULL);
}

int watch_ready(struct watch *watch, struct epoll_event *events, int max, bool *ret_rang)
{
	int count = epoll_wait(watch->epoll, events, max, 0), kept = 0;
	uint64_t times;

	*ret_rang = false;
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr)
			events[kept++] = events[i];
		else
			*ret_rang = read(watch->timer, &times, sizeof(times)) == sizeof(times);
	}
	return kept;
}

__s64 clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__s64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
