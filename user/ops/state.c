/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "canary/abi.h"
#include "ops/clock.h"
#include "ops/state.h"

#define NSEC_PER_SEC 1000000000LL

int instance_file(const struct instance *instance, const char *what, char path[PATH_MAX], struct error *error)
{
	size_t end = strlen(instance->dir), begin;

	while (end > 1 && instance->dir[end - 1] == '/')
		end--;
	for (begin = end; begin > 0 && instance->dir[begin - 1] != '/';)
		begin--;
	if (snprintf(path, PATH_MAX, "%s.%s-%.*s", instance->key_file, what, (int)(end - begin),
		     instance->dir + begin) >= PATH_MAX)
		return fail(error, -ENAMETOOLONG, "the key file's name is too long");
	return 0;
}

/* In seconds; the last change is rounded up, so that the window does not close too early. */
static struct window_times times_of(const struct window *window, const struct service_model *service)
{
	__u64 changed_ns = window->closes_ns - service_idle_timeout(service) * (__u64)NSEC_PER_SEC;

	return (struct window_times){
		.opened = clock_wall_ns(window->opened_ns) / NSEC_PER_SEC,
		.changed = clock_wall_ns(changed_ns) / NSEC_PER_SEC + 1,
	};
}

static int read_window(const struct service_model *service, void *arg, struct model *ret_oldest,
		       struct window_times *ret_times, struct error *error)
{
	struct dataplane *dataplane = arg;
	struct window window;
	int err = dataplane_window(dataplane, service, &window);

	if (err)
		return fail(error, err, "cannot read the window of %s: %s", service->name, strerror(-err));
	if (!window.open)
		return -ENOENT;
	*ret_times = times_of(&window, service);
	/* -ENOENT: it has just closed. */
	return dataplane_read_oldest(dataplane, service, ret_oldest, error);
}

int state_save(const struct instance *instance, struct dataplane *dataplane, struct error *error)
{
	struct model services = {};
	struct error why;
	char path[PATH_MAX];
	int err = instance_file(instance, "state", path, &why);

	if (!err)
		err = dataplane_read_heads(dataplane, &services, &why);
	if (!err)
		err = state_file_save(path, &services, read_window, dataplane, &why);
	model_free(&services);
	return err ? fail(error, err,
			  "open connections may not outlive a reboot, as what chose them was not saved: %.800s "
			  "(--key-file says where)",
			  why.text)
		   : 0;
}

/*
 * Was the file written since the host started? Then it was not a reboot that took the pins away, but somebody who begins
 * anew. Whoever names a key file says himself what belongs together.
 */
static bool begun_anew(const struct instance *instance, const char *path)
{
	struct timespec up;
	struct stat status;

	if (strcmp(instance->key_file, DATAPLANE_DEFAULT_KEY_FILE) || stat(path, &status))
		return false;
	clock_gettime(CLOCK_BOOTTIME, &up);
	return status.st_mtime >= time(NULL) - up.tv_sec;
}

int state_load(const struct instance *instance, struct saved_state *ret, struct error *error)
{
	char path[PATH_MAX];
	struct error why;
	int err = instance_file(instance, "state", path, &why);

	*ret = (struct saved_state){};
	if (!err && begun_anew(instance, path))
		return 0;
	if (!err)
		err = state_file_load(path, ret, &why);
	return err ? fail(error, err,
			  "weights and open connections of before a reboot are not known, as what was saved cannot be "
			  "read: %.800s",
			  why.text)
		   : 0;
}

void state_settle(const struct saved_state *state, const struct model *actual, struct model *wanted)
{
	for (size_t i = 0; state->services.service_count && i < wanted->service_count; i++) {
		struct service_model *service = &wanted->services[i];
		const struct service_model *saved = model_find_same(&state->services, service);

		if (!saved || model_find_same(actual, service))
			continue;
		service->salt_number = saved->salt_number;
		if ((service->weight != WEIGHT_KEEP && service->weight != saved->weight) ||
		    !service_backends_up(service, CANARY_CANARY))
			continue;
		/*
		 * The assignment goes on, as in an `apply` with the same weight: its lease begins anew, and what had stopped it
		 * still has.
		 */
		service->weight = saved->weight;
		service->lease = saved->lease;
		service->begin_stopped = saved->begin_stopped;
	}
}

struct service_model *state_open_window(const struct saved_state *state, const struct service_model *service)
{
	struct service_model *oldest = model_find_same(&state->oldest, service);
	__s64 now = clock_wall_ns(clock_monotonic_ns()) / NSEC_PER_SEC;
	const struct window_times *times;

	if (!oldest)
		return NULL;
	times = &state->times[oldest - state->oldest.services];
	return now < times->changed + (__s64)service_idle_timeout(service) &&
			       now < times->opened + (__s64)service_max_window(service)
		       ? oldest
		       : NULL;
}
