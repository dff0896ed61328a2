/* SPDX-License-Identifier: Apache-2.0 */
/* The database's tables, and how those of an older version become these. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/history_private.h"

#define APPLICATION_ID 0x43614e61 /* "CaNa", so that nobody else's database is taken for a history */

/*
 * Each version as what is done to the one before it; PRAGMA user_version says how many were. Released ones are never
 * edited: another one is appended.
 */
static const char *const versions[] = {
	"CREATE TABLE rollout ("
	" service TEXT NOT NULL, id INTEGER NOT NULL CHECK (id > 0), started INTEGER NOT NULL,"
	" PRIMARY KEY (service, id)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE transition ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, rollout INTEGER NOT NULL, time INTEGER NOT NULL,"
	" number INTEGER NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, step INTEGER NOT NULL,"
	" weight INTEGER NOT NULL, cause TEXT NOT NULL, uid INTEGER, state TEXT NOT NULL,"
	" UNIQUE (service, rollout, number),"
	" FOREIGN KEY (service, rollout) REFERENCES rollout (service, id)) STRICT;"
	"CREATE TABLE verdict ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, rollout INTEGER NOT NULL, time INTEGER NOT NULL,"
	" step INTEGER NOT NULL, gate TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,"
	" canary_failures INTEGER NOT NULL, canary_flows INTEGER NOT NULL,"
	" stable_failures INTEGER NOT NULL, stable_flows INTEGER NOT NULL, log_e REAL, share REAL, details TEXT,"
	" FOREIGN KEY (service, rollout) REFERENCES rollout (service, id)) STRICT;"
	"CREATE TABLE counts ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, rollout INTEGER NOT NULL, time INTEGER NOT NULL,"
	" step INTEGER NOT NULL, counts TEXT NOT NULL,"
	" FOREIGN KEY (service, rollout) REFERENCES rollout (service, id)) STRICT;"
	"CREATE TABLE feedback ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, rollout INTEGER, time INTEGER NOT NULL,"
	" client TEXT NOT NULL, cohort TEXT, good INTEGER NOT NULL, note TEXT, uid INTEGER,"
	" FOREIGN KEY (service, rollout) REFERENCES rollout (service, id)) STRICT;"
	"CREATE TABLE block ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, rollout INTEGER, time INTEGER NOT NULL,"
	" blocked INTEGER NOT NULL, reason TEXT, uid INTEGER,"
	" FOREIGN KEY (service, rollout) REFERENCES rollout (service, id)) STRICT;"
	"CREATE INDEX verdict_of ON verdict (service, rollout);"
	"CREATE INDEX counts_of ON counts (service, rollout);"
	"CREATE INDEX counts_at ON counts (time);"
	"CREATE INDEX feedback_of ON feedback (service, rollout);",
};

#define VERSION_COUNT ((int)(sizeof(versions) / sizeof(versions[0])))

/* The first row's first column as text, "" if there is none. */
static int ask(sqlite3 *db, const char *path, const char *sql, char *buf, size_t len, struct error *error)
{
	sqlite3_stmt *statement;
	int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	buf[0] = '\0';
	if (result == SQLITE_OK) {
		result = sqlite3_step(statement);
		if (result == SQLITE_ROW)
			snprintf(buf, len, "%s", (const char *)sqlite3_column_text(statement, 0));
	}
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		result = history_failed(db, path, "cannot be read", error);
	else
		result = 0;
	sqlite3_finalize(statement);
	return result;
}

static int ask_number(sqlite3 *db, const char *path, const char *sql, int *ret, struct error *error)
{
	char text[32];
	int result = ask(db, path, sql, text, sizeof(text), error);

	if (!result && sscanf(text, "%d", ret) != 1)
		return fail(error, -EUCLEAN, "%s: is damaged: %s has no answer", path, sql);
	return result;
}

static int upgrade(sqlite3 *db, const char *path, int from, struct error *error)
{
	int result = history_begin(db, path, error);
	char mark[80];

	if (result)
		return result;
	for (int i = from; i < VERSION_COUNT && !result; i++)
		result = history_execute(db, path, versions[i], "cannot be brought up to date", error);
	snprintf(mark, sizeof(mark), "PRAGMA user_version = %d; PRAGMA application_id = %d", VERSION_COUNT,
		 APPLICATION_ID);
	if (!result)
		result = history_execute(db, path, mark, "cannot be brought up to date", error);
	if (!result)
		result = history_commit(db, path, error);
	history_roll_back(db);
	return result;
}

int history_schema_make(sqlite3 *db, const char *path, struct error *error)
{
	return upgrade(db, path, 0, error);
}

int history_schema_check(sqlite3 *db, const char *path, struct error *error)
{
	char problem[256];
	int application, version;
	int result = ask_number(db, path, "PRAGMA application_id", &application, error);

	if (!result && application != APPLICATION_ID)
		return fail(error, -EUCLEAN, "%s: is no history of rollouts: it is left as it is", path);
	if (!result)
		result = ask_number(db, path, "PRAGMA user_version", &version, error);
	if (!result && (version < 1 || version > VERSION_COUNT))
		return fail(error, -EPROTONOSUPPORT,
			    "%s: has version %d, of a later canaryd; this one knows version %d at most", path, version,
			    VERSION_COUNT);
	if (!result)
		result = ask(db, path, "PRAGMA quick_check(1)", problem, sizeof(problem), error);
	if (!result && strcmp(problem, "ok") != 0)
		return fail(error, -EUCLEAN,
			    "%s: is damaged (%s): it is left as it is; restore it, or move it away to begin anew", path,
			    problem);
	if (!result && version < VERSION_COUNT)
		result = upgrade(db, path, version, error);
	return result;
}
