/* SPDX-License-Identifier: Apache-2.0 */
/* The file: its lock, how it comes into being, and what is said when something is wrong with it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/history_private.h"
#include "io/lock_file.h"

#define WAIT_FOR_LOCK 1000 /* ms: for another program that writes to the file, which none should */

/* FULL: a transaction is on the disk when COMMIT returns (with NORMAL, a WAL is only synced now and then). */
static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

/* Why the last write to the WAL failed: what SQLite gives as the system's error may be that of what it did since. */
static int wal_errno(sqlite3 *db)
{
	sqlite3_file *wal = NULL;
	int code = 0;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK && wal && wal->pMethods)
		wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &code);
	return code;
}

static int code_of(sqlite3 *db)
{
	int extended = sqlite3_extended_errcode(db), system = sqlite3_system_errno(db);

	if (extended == SQLITE_IOERR_WRITE && wal_errno(db))
		system = wal_errno(db);

	switch (extended & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
		return extended == SQLITE_CONSTRAINT_UNIQUE ? -EEXIST : -EINVAL;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (system == EDQUOT || system == EFBIG)
			return -ENOSPC;
		return system ? -system : -EIO;
	default:
		return -EIO;
	}
}

int history_failed(sqlite3 *db, const char *path, const char *doing, struct error *error)
{
	int code = code_of(db);

	switch (code) {
	case -ENOSPC:
		return fail(error, code, "%s: %s: there is no room on the disk", path, doing);
	case -EROFS:
		return fail(error, code, "%s: %s: the file system is read-only", path, doing);
	case -EUCLEAN:
		return fail(error, code,
			    "%s: is damaged (%s): it is left as it is; restore it, or move it away to begin anew", path,
			    sqlite3_errmsg(db));
	case -EBUSY:
		return fail(error, code, "%s: %s: another program holds a lock on it", path, doing);
	default:
		return fail(error, code, "%s: %s: %s (%s)", path, doing, sqlite3_errmsg(db), strerror(-code));
	}
}

int history_execute(sqlite3 *db, const char *path, const char *sql, const char *doing, struct error *error)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : history_failed(db, path, doing, error);
}

int history_begin(sqlite3 *db, const char *path, struct error *error)
{
	return history_execute(db, path, "BEGIN IMMEDIATE", "cannot be written", error);
}

int history_commit(sqlite3 *db, const char *path, struct error *error)
{
	return history_execute(db, path, "COMMIT", "cannot be written", error);
}

void history_roll_back(sqlite3 *db)
{
	/* Some errors end the transaction themselves. */
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

static int take_lock(const char *path, int *ret, struct error *error)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s.lock", path);
	return lock_file(name, path, ret, error);
}

static int open_database(const char *path, sqlite3 **ret, struct error *error)
{
	sqlite3 *db = NULL;
	int result = 0;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
		result = db ? history_failed(db, path, "cannot be opened", error)
			    : fail(error, -ENOMEM, "out of memory");
	if (!result) {
		sqlite3_extended_result_codes(db, 1);
		sqlite3_busy_timeout(db, WAIT_FOR_LOCK);
		result = history_execute(db, path, settings, "cannot be opened", error);
	}
	if (result)
		sqlite3_close(db);
	else
		*ret = db;
	return result;
}

static int sync_directory(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int code = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	free(copy);
	return code;
}

/*
 * Under another name first: a file of that name has always been whole, so that one which is empty or cut short, now or
 * later, is a damaged one and never taken for a new one.
 */
static int make_database(const char *path, struct error *error)
{
	char new[4096];
	sqlite3 *db;
	int fd, result;

	snprintf(new, sizeof(new), "%s.new", path);
	unlink(new);
	fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(error, -errno, "%s: cannot be made: %s", path, strerror(errno));
	close(fd);
	result = open_database(new, &db, error);
	if (!result) {
		result = history_schema_make(db, new, error);
		/* Closing moves what its WAL holds into the file. */
		if (sqlite3_close(db) != SQLITE_OK && !result)
			result = fail(error, -EIO, "%s: cannot be made", path);
	}
	if (!result && rename(new, path))
		result = fail(error, -errno, "%s: cannot be made: %s", path, strerror(errno));
	if (!result) {
		result = sync_directory(path);
		return result ? fail(error, result, "%s: cannot be made: %s", path, strerror(-result)) : 0;
	}
	unlink(new);
	return result;
}

static int check_file(const char *path, struct error *error)
{
	char wal[4096];
	struct stat status;

	if (stat(path, &status) == 0) {
		if (status.st_size > 0)
			return 0;
		return fail(error, -EUCLEAN, "%s: is damaged (it is empty): restore it, or delete it to begin anew",
			    path);
	}
	if (errno != ENOENT)
		return fail(error, -errno, "%s: cannot be opened: %s", path, strerror(errno));
	snprintf(wal, sizeof(wal), "%s-wal", path);
	if (stat(wal, &status) == 0)
		return fail(error, -EUCLEAN,
			    "%s: is missing, and %s, a part of it, is there: restore it, or delete that", path, wal);
	return make_database(path, error);
}

int history_open(const char *path, struct history **ret, struct error *error)
{
	struct history *history = calloc(1, sizeof(*history));
	int result;

	if (!history)
		return fail(error, -ENOMEM, "out of memory");
	history->lock = -1;
	history->path = strdup(path);
	if (!history->path)
		result = fail(error, -ENOMEM, "out of memory");
	else if (strlen(path) > 4000)
		result = fail(error, -ENAMETOOLONG, "the history's path is too long");
	else
		result = take_lock(path, &history->lock, error);
	if (!result)
		result = check_file(path, error);
	if (!result)
		result = open_database(path, &history->db, error);
	if (!result)
		result = history_schema_check(history->db, path, error);
	if (result)
		history_close(history);
	else
		*ret = history;
	return result;
}

void history_close(struct history *history)
{
	if (!history)
		return;
	sqlite3_close(history->db);
	if (history->lock >= 0)
		close(history->lock);
	free(history->path);
	free(history);
}
