/* SPDX-License-Identifier: Apache-2.0 */
/* A table of text that lines up, and the styles of its cells. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

#include "cli/cli.h"

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_ALARM };

/* Empty when zeroed. Cells are added from left to right; a row ends with table_end_row(). */
struct table {
	struct table_cell *cells;
	size_t count, capacity;
	size_t column, columns;
};
__attribute__((format(printf, 3, 4))) void table_left(struct table *table, enum style style, const char *format, ...);
__attribute__((format(printf, 3, 4))) void table_right(struct table *table, enum style style, const char *format, ...);
void table_end_row(struct table *table);
/* Prints it with `indent` spaces before each row, and empties it. */
void table_print(struct table *table, const struct cli *cli, int indent);

/* Escape sequences that begin and end a style, "" without colours. */
const char *style_begin(const struct cli *cli, enum style style);
const char *style_end(const struct cli *cli, enum style style);

#endif
