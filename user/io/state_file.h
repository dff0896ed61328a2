/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to outlive a reboot and stands in no configuration (JSON): of each service the weight, the salt, the assignment's
 * lease, and whether the breaker or a lease has stopped it; and of each that has an open window, the configuration that was in
 * force when it opened, by which connections are chosen for that are older than the window.
 */
#ifndef IO_STATE_FILE_H
#define IO_STATE_FILE_H

#include "core/error.h"
#include "core/model.h"

/* Of one window, in seconds since 1970: the clock that goes on through a reboot. */
struct window_times {
	__s64 opened;
	__s64 changed; /* the last time that something changed, or was not remembered: it closes `idle_timeout` later */
};

/*
 * The window of a service: 0 with its configuration (salt and salt_number are set, of what else the data plane sets
 * nothing) as the one service of *ret_oldest, which the caller frees; -ENOENT: none is open; or -errno with a sentence.
 */
typedef int state_window(const struct service_model *service, void *arg, struct model *ret_oldest,
			 struct window_times *ret_times, struct error *error);

/*
 * Replaces the file at once or not at all, readable for its owner only; with no services there is no file afterwards. Of
 * the services their own fields are read, `word` among them. With 1,000 of them this is to take a few milliseconds, so what
 * the file says of a service whose epoch is the same stays, and only the windows of others are asked for. 0 or -errno.
 */
int state_file_save(const char *path, const struct model *services, state_window *window, void *arg,
		    struct error *error);

struct saved_state {
	struct model services; /* name, addr, port, proto, weight, salt_number, lease and begin_stopped alone */
	struct model oldest; /* of those whose window was open; with the lease that was in force, as it begins anew */
	struct window_times *times; /* one for each service of `oldest` */
};

/* Where there is no file, an empty state. 0, -EINVAL for a damaged one, or -errno. */
int state_file_load(const char *path, struct saved_state *ret, struct error *error);

void saved_state_free(struct saved_state *state);

#endif
