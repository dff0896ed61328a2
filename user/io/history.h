/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened in rollouts, kept in a file that outlives the daemon (SQLite): from it a daemon that was killed knows
 * which step it was in, and a person sees why. What is appended is on the disk before it takes effect.
 *
 * Beside FILE there are FILE-wal and FILE-shm, parts of it, and FILE.lock, held by the one process that may act. Others
 * may read the file meanwhile (sqlite3 -readonly FILE). All of them are readable for their owner only.
 *
 * Errors are -errno with a sentence that names the file:
 *   -EBUSY   another daemon has it (the sentence has its pid), or another program holds a lock for longer than a second
 *   -ENOSPC  no room on the disk
 *   -EROFS   the file or its file system cannot be written
 *   -EUCLEAN the file is damaged, or is no history. It is left as it is, whatever is wrong with it
 *   -EPROTONOSUPPORT  a later version has written it
 *   -EEXIST  this transition is there already
 *   -EINVAL  an entry that names a rollout which has no transition, or lacks what it must have
 *   -EIO, -EACCES, -ENOENT, -ENOMEM ...  as the system says
 */
#ifndef IO_HISTORY_H
#define IO_HISTORY_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct history;

#define HISTORY_NO_ROLLOUT 0 /* an entry that belongs to none */
#define HISTORY_NO_STEP (-1)
#define HISTORY_NO_UID (-1) /* the daemon itself, or somebody who is not known */

enum history_kind { HISTORY_TRANSITION, HISTORY_VERDICT, HISTORY_COUNTS, HISTORY_FEEDBACK, HISTORY_BLOCK };

/*
 * The rollout went from one state to another. The first one of a rollout makes the rollout known. `number` counts a
 * rollout's transitions: a number comes once.
 */
struct history_transition {
	__s64 number;
	const char *before, *after; /* names of states */
	__s64 step; /* the one it is in afterwards, HISTORY_NO_STEP */
	__s64 weight; /* the canary's afterwards, in 1/100 percent */
	const char *cause;
	__s64 uid; /* who asked */
	const char *state; /* JSON: all that is needed to go on from here */
};

/* What a gate said, and of what numbers. */
struct history_verdict {
	__s64 step;
	const char *gate, *verdict, *reason;
	__s64 canary_failures, canary_flows, stable_failures, stable_flows;
	double log_e; /* ln E; NAN: this gate has none, as with the next */
	double share; /* w, the canary's share of what was observed, 0..1 */
	const char *details; /* JSON, or NULL */
};

/* What was counted in one tick, for a replay of the gates. */
struct history_counts {
	__s64 step;
	const char *counts; /* JSON */
};

struct history_feedback {
	const char *client;
	const char *cohort; /* NULL: the client's is not known */
	bool good;
	const char *note; /* NULL: none */
	__s64 uid;
};

/* Somebody forbade (or allowed again) that the service's canary goes forward. The latest is in force. */
struct history_block {
	bool blocked;
	const char *reason; /* NULL: none */
	__s64 uid;
};

/* Texts are UTF-8. Of an entry that was read they are valid during the call back only. */
struct history_entry {
	enum history_kind kind;
	__s64 id; /* rises with each entry of a kind; set on those that are read */
	const char *service;
	__s64 rollout; /* a number > 0 of the service's own, or HISTORY_NO_ROLLOUT */
	__s64 time; /* ms since 1970 */
	union {
		struct history_transition transition;
		struct history_verdict verdict;
		struct history_counts counts;
		struct history_feedback feedback;
		struct history_block block;
	};
};

/*
 * Opens the file, which is made if there is none in that directory, checks the whole of it, and takes the lock until
 * history_close() or the process's end, however it ends. An older version's file is brought up to date, at once or not
 * at all. 0 or -errno, with *ret untouched.
 */
int history_open(const char *path, struct history **ret, struct error *error);
void history_close(struct history *history); /* NULL: nothing */

/*
 * Appends all of these or, on failure, none; on return they are on the disk. (After -EIO the disk itself has failed: what
 * it holds is known only when the file is opened again.)
 */
int history_append(struct history *history, const struct history_entry *entries, size_t count, struct error *error);

struct history_filter {
	const char *service; /* NULL: any */
	__s64 rollout; /* 0: any */
	__s64 since; /* ms since 1970: those of this time or later */
	__s64 after; /* those with a greater id: to read on where the last call ended */
	__s64 limit; /* at most so many; 0: all */
	bool newest_first; /* in order of their ids otherwise */
	bool latest; /* of each service only the one with the greatest id, to which all of the above applies then */
};

/*
 * Calls back for each entry of a kind that the filter lets through; filter NULL: all. A nonzero value from the callback
 * ends it and is returned. 0 or -errno. The callback may not use the history.
 */
int history_list(struct history *history, enum history_kind kind, const struct history_filter *filter,
		 int (*visit)(const struct history_entry *entry, void *arg), void *arg, struct error *error);

/* A number for a service's next rollout: one more than its last one's. 0 or -errno. */
int history_next_rollout(struct history *history, const char *service, __s64 *ret, struct error *error);

/* Deletes counts of before that time (ms since 1970), which are by far the most; all else stays. 0 or -errno. */
int history_prune_counts(struct history *history, __s64 before, struct error *error);

#endif
