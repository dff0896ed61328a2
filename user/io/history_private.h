/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of history.h share. */
#ifndef IO_HISTORY_PRIVATE_H
#define IO_HISTORY_PRIVATE_H

#include <sqlite3.h>

#include "io/history.h"

struct history {
	char *path;
	int lock;
	sqlite3 *db;
};

/* What SQLite just said about the file, as -errno with a sentence that begins with what we were doing ("cannot …"). */
int history_failed(sqlite3 *db, const char *path, const char *doing, struct error *error);

int history_execute(sqlite3 *db, const char *path, const char *sql, const char *doing, struct error *error);

/* Everything in one transaction, or nothing. */
int history_begin(sqlite3 *db, const char *path, struct error *error);
int history_commit(sqlite3 *db, const char *path, struct error *error);
void history_roll_back(sqlite3 *db);

/*
 * history_schema_make() makes an empty database a history of the latest version; history_schema_check() sees whether it
 * is a history that is whole, and brings it up to date.
 */
int history_schema_make(sqlite3 *db, const char *path, struct error *error);
int history_schema_check(sqlite3 *db, const char *path, struct error *error);

#endif
