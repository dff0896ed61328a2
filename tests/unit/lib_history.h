/* SPDX-License-Identifier: Apache-2.0 */
/* A history in a file of its own, and entries for it. */
#ifndef LIB_HISTORY_H
#define LIB_HISTORY_H

#include "io/history.h"

/* A group of tests has a directory; each of them leaves it empty. */
extern char history_directory[], history_path[64];
int make_history_directory(void **state);
int remove_history_directory(void **state);
int remove_history_files(void **state);

struct history *open_history(void);
/* Opening fails so, and leaves the file's bytes as they are. */
void assert_not_opened(int code, const char *sentence);

struct history_entry make_transition(const char *service, __s64 rollout, __s64 number);
struct history_entry make_verdict(const char *service, __s64 rollout, const char *gate);
void append_entries(struct history *history, const struct history_entry *entries, size_t count);

/* What a list had. */
struct seen {
	int count;
	int stop_at; /* 0: never */
	__s64 ids[64];
	__s64 number; /* the last transition's */
};
/* For history_list(): notes an entry in the struct seen that `arg` is; 77 at `stop_at`. */
int see_entry(const struct history_entry *entry, void *arg);
struct seen list_history(struct history *history, enum history_kind kind, const struct history_filter *filter);

#endif
