/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose weights are a rollout's: a small file (JSON) that the daemon writes before it sets a weight, and that commands
 * read before they do, so that both know with no daemon running and after a reboot. It is not in the data plane, which
 * is gone after one, nor in the history, whose library no command links.
 */
#ifndef IO_OWNERS_H
#define IO_OWNERS_H

#include <stdbool.h>
#include <stddef.h>

#include "canary/abi.h"
#include "core/error.h"
#include "core/guard_settings.h"

#define OWNERS_FILE "rollouts" /* its name, beside the key file: see instance_file() */

struct owner {
	char service[CANARY_NAME_LEN];
	int weight; /* that the rollout asks for, in 1/100 percent: what is in force is less under a holdback */
	unsigned guards; /* settings of the kernel's guards that are the rollout's as well: guard_settings.given */
	/* Nobody's weight any more: the release was finished, so a file of before it has its cohorts the wrong way round. */
	bool finished;
};

struct owners {
	struct owner *owners;
	size_t count;
};

/* Where there is no file, nobody. 0 or -errno with *ret empty. */
int owners_load(const char *path, struct owners *ret, struct error *error);
/* Replaces the file at once or not at all; with nobody there is none afterwards. 0 or -errno. */
int owners_save(const char *path, const struct owners *owners, struct error *error);
void owners_free(struct owners *owners);

const struct owner *owners_find(const struct owners *owners, const char *service); /* NULL: nobody */
/* Makes the rollout the owner, of this weight and these guards. 0 or -ENOMEM. *ret_changed: it was not, or had others. */
int owners_take(struct owners *owners, const char *service, int weight, unsigned guards, bool *ret_changed);
bool owners_leave(struct owners *owners, const char *service); /* was it one? */

/* Leaves, and notes that its release was finished. 0 or -ENOMEM; *ret_changed as above. */
int owners_finish(struct owners *owners, const char *service, bool *ret_changed);
bool owners_have_finished(const struct owners *owners, const char *service);

#endif
