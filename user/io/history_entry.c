/* SPDX-License-Identifier: Apache-2.0 */
/* Entries to rows and back: each kind is a table and a list of columns, of which all of its SQL is made. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/history_private.h"

#define SQL_LEN 1024

enum type {
	NUMBER, /* __s64 */
	ROLLOUT, /* the same; HISTORY_NO_ROLLOUT is NULL */
	UID, /* the same; HISTORY_NO_UID is NULL */
	FLAG, /* bool */
	REAL, /* double; NAN is NULL */
	TEXT, /* const char * */
};

struct column {
	const char *name;
	enum type type;
	size_t offset;
};

#define COLUMN(field, type)                                                                                            \
	{                                                                                                              \
#field, type, offsetof(struct history_entry, field)                                                    \
	}
#define PART(part, field, type)                                                                                        \
	{                                                                                                              \
#field, type, offsetof(struct history_entry, part.field)                                               \
	}
#define COMMON COLUMN(service, TEXT), COLUMN(rollout, ROLLOUT), COLUMN(time, NUMBER)

static const struct column transition_columns[] = {
	COMMON,
	PART(transition, number, NUMBER),
	PART(transition, before, TEXT),
	PART(transition, after, TEXT),
	PART(transition, step, NUMBER),
	PART(transition, weight, NUMBER),
	PART(transition, cause, TEXT),
	PART(transition, uid, UID),
	PART(transition, state, TEXT),
	{},
};
static const struct column verdict_columns[] = {
	COMMON,
	PART(verdict, step, NUMBER),
	PART(verdict, gate, TEXT),
	PART(verdict, verdict, TEXT),
	PART(verdict, reason, TEXT),
	PART(verdict, canary_failures, NUMBER),
	PART(verdict, canary_flows, NUMBER),
	PART(verdict, stable_failures, NUMBER),
	PART(verdict, stable_flows, NUMBER),
	PART(verdict, log_e, REAL),
	PART(verdict, share, REAL),
	PART(verdict, details, TEXT),
	{},
};
static const struct column counts_columns[] = {
	COMMON,
	PART(counts, step, NUMBER),
	PART(counts, counts, TEXT),
	{},
};
static const struct column feedback_columns[] = {
	COMMON,
	PART(feedback, client, TEXT),
	PART(feedback, cohort, TEXT),
	PART(feedback, good, FLAG),
	PART(feedback, note, TEXT),
	PART(feedback, uid, UID),
	{},
};
static const struct column block_columns[] = {
	COMMON, PART(block, blocked, FLAG), PART(block, reason, TEXT), PART(block, uid, UID), {},
};

static const struct kind {
	const char *table;
	const struct column *columns;
} kinds[] = {
	[HISTORY_TRANSITION] = {"transition", transition_columns},
	[HISTORY_VERDICT] = {"verdict", verdict_columns},
	[HISTORY_COUNTS] = {"counts", counts_columns},
	[HISTORY_FEEDBACK] = {"feedback", feedback_columns},
	[HISTORY_BLOCK] = {"block", block_columns},
};

static int prepare(struct history *history, const char *sql, sqlite3_stmt **ret, struct error *error)
{
	if (sqlite3_prepare_v2(history->db, sql, -1, ret, NULL) == SQLITE_OK)
		return 0;
	return history_failed(history->db, history->path, "cannot be read", error);
}

static void bind_column(sqlite3_stmt *statement, int index, const struct column *column,
			const struct history_entry *entry)
{
	const void *field = (const char *)entry + column->offset;
	const char *text;
	__s64 number;

	switch (column->type) {
	case NUMBER:
		sqlite3_bind_int64(statement, index, *(const __s64 *)field);
		break;
	case ROLLOUT:
	case UID:
		number = *(const __s64 *)field;
		/* What is not bound is NULL. */
		if (number != (column->type == UID ? HISTORY_NO_UID : HISTORY_NO_ROLLOUT))
			sqlite3_bind_int64(statement, index, number);
		break;
	case FLAG:
		sqlite3_bind_int(statement, index, *(const bool *)field);
		break;
	case REAL:
		sqlite3_bind_double(statement, index, *(const double *)field);
		break;
	case TEXT:
		text = *(const char *const *)field;
		sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
		break;
	}
}

static void read_column(sqlite3_stmt *statement, int index, const struct column *column, struct history_entry *entry)
{
	void *field = (char *)entry + column->offset;
	bool null = sqlite3_column_type(statement, index) == SQLITE_NULL;

	switch (column->type) {
	case NUMBER:
	case ROLLOUT: /* SQLite reads NULL as 0, which is HISTORY_NO_ROLLOUT */
		*(__s64 *)field = sqlite3_column_int64(statement, index);
		break;
	case UID:
		*(__s64 *)field = null ? HISTORY_NO_UID : sqlite3_column_int64(statement, index);
		break;
	case FLAG:
		*(bool *)field = sqlite3_column_int(statement, index);
		break;
	case REAL:
		*(double *)field = null ? NAN : sqlite3_column_double(statement, index);
		break;
	case TEXT:
		*(const char **)field = (const char *)sqlite3_column_text(statement, index);
		break;
	}
}

static int insert_rollout(struct history *history, const struct history_entry *entry, struct error *error)
{
	sqlite3_stmt *statement;
	int result =
		prepare(history, "INSERT INTO rollout (service, id, started) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			&statement, error);

	if (result)
		return result;
	sqlite3_bind_text(statement, 1, entry->service, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, entry->rollout);
	sqlite3_bind_int64(statement, 3, entry->time);
	if (sqlite3_step(statement) != SQLITE_DONE)
		result = history_failed(history->db, history->path, "cannot be written", error);
	sqlite3_finalize(statement);
	return result;
}

static int insert_failed(struct history *history, const struct history_entry *entry, struct error *error)
{
	int code = history_failed(history->db, history->path, "cannot be written", error);
	const char *service = entry->service ? entry->service : "?";

	if (code == -EEXIST)
		return fail(error, code, "%s: transition %lld of rollout %lld of %s is there already", history->path,
			    entry->transition.number, entry->rollout, service);
	if (code == -EINVAL)
		return fail(error, code, "%s: takes no such %s for rollout %lld of %s: %s", history->path,
			    kinds[entry->kind].table, entry->rollout, service, sqlite3_errmsg(history->db));
	return code;
}

static int insert(struct history *history, const struct history_entry *entry, struct error *error)
{
	const struct kind *kind = &kinds[entry->kind];
	char sql[SQL_LEN], marks[SQL_LEN / 4];
	size_t len = snprintf(sql, sizeof(sql), "INSERT INTO %s (", kind->table), marks_len = 0;
	sqlite3_stmt *statement;
	int result = entry->kind == HISTORY_TRANSITION ? insert_rollout(history, entry, error) : 0;

	if (result)
		return result;
	for (const struct column *column = kind->columns; column->name; column++) {
		const char *comma = column == kind->columns ? "" : ", ";

		len += snprintf(sql + len, sizeof(sql) - len, "%s%s", comma, column->name);
		marks_len += snprintf(marks + marks_len, sizeof(marks) - marks_len, "%s?", comma);
	}
	snprintf(sql + len, sizeof(sql) - len, ") VALUES (%s)", marks);
	result = prepare(history, sql, &statement, error);
	if (result)
		return result;
	for (int i = 0; kind->columns[i].name; i++)
		bind_column(statement, i + 1, &kind->columns[i], entry);
	if (sqlite3_step(statement) != SQLITE_DONE)
		result = insert_failed(history, entry, error);
	sqlite3_finalize(statement);
	return result;
}

int history_append(struct history *history, const struct history_entry *entries, size_t count, struct error *error)
{
	int result = history_begin(history->db, history->path, error);

	for (size_t i = 0; i < count && !result; i++)
		result = insert(history, &entries[i], error);
	if (!result)
		result = history_commit(history->db, history->path, error);
	history_roll_back(history->db);
	return result;
}

static void select_sql(const struct kind *kind, const struct history_filter *filter, char sql[SQL_LEN])
{
	size_t len = snprintf(sql, SQL_LEN, "SELECT id");

	for (const struct column *column = kind->columns; column->name; column++)
		len += snprintf(sql + len, SQL_LEN - len, ", %s", column->name);
	len += snprintf(
		sql + len, SQL_LEN - len,
		" FROM %s WHERE (?1 IS NULL OR service = ?1) AND (?2 = 0 OR rollout = ?2) AND time >= ?3 AND id > ?4",
		kind->table);
	if (filter->latest)
		len += snprintf(sql + len, SQL_LEN - len, " AND id IN (SELECT max(id) FROM %s GROUP BY service)",
				kind->table);
	snprintf(sql + len, SQL_LEN - len, " ORDER BY id %s LIMIT ?5", filter->newest_first ? "DESC" : "ASC");
}

int history_list(struct history *history, enum history_kind kind, const struct history_filter *filter,
		 int (*visit)(const struct history_entry *entry, void *arg), void *arg, struct error *error)
{
	static const struct history_filter everything;
	sqlite3_stmt *statement;
	char sql[SQL_LEN];
	int result, step = SQLITE_DONE;

	if (!filter)
		filter = &everything;
	select_sql(&kinds[kind], filter, sql);
	result = prepare(history, sql, &statement, error);
	if (result)
		return result;
	sqlite3_bind_text(statement, 1, filter->service, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, filter->rollout);
	sqlite3_bind_int64(statement, 3, filter->since);
	sqlite3_bind_int64(statement, 4, filter->after);
	sqlite3_bind_int64(statement, 5, filter->limit ? filter->limit : -1);
	while (!result && (step = sqlite3_step(statement)) == SQLITE_ROW) {
		struct history_entry entry = {.kind = kind, .id = sqlite3_column_int64(statement, 0)};

		for (int i = 0; kinds[kind].columns[i].name; i++)
			read_column(statement, i + 1, &kinds[kind].columns[i], &entry);
		result = visit(&entry, arg);
	}
	if (!result && step != SQLITE_DONE)
		result = history_failed(history->db, history->path, "cannot be read", error);
	sqlite3_finalize(statement);
	return result;
}

int history_next_rollout(struct history *history, const char *service, __s64 *ret, struct error *error)
{
	sqlite3_stmt *statement;
	int result =
		prepare(history, "SELECT ifnull(max(id), 0) + 1 FROM rollout WHERE service = ?", &statement, error);

	if (result)
		return result;
	sqlite3_bind_text(statement, 1, service, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	else
		result = history_failed(history->db, history->path, "cannot be read", error);
	sqlite3_finalize(statement);
	return result;
}

int history_prune_counts(struct history *history, __s64 before, struct error *error)
{
	sqlite3_stmt *statement;
	int result = prepare(history, "DELETE FROM counts WHERE time < ?", &statement, error);

	if (result)
		return result;
	sqlite3_bind_int64(statement, 1, before);
	if (sqlite3_step(statement) != SQLITE_DONE)
		result = history_failed(history->db, history->path, "cannot be written", error);
	sqlite3_finalize(statement);
	return result;
}
