/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/table.h"

struct table_cell {
	char *text;
	size_t column;
	bool right;
	enum style style;
};

static void add_cell(struct table *table, bool right, enum style style, const char *format, va_list args)
{
	char *text = format_text(format, args);

	if (table->count == table->capacity) {
		table->capacity = table->capacity ? table->capacity * 2 : 64;
		table->cells = must(realloc(table->cells, table->capacity * sizeof(*table->cells)));
	}
	table->cells[table->count++] = (struct table_cell){text, table->column++, right, style};
	if (table->columns < table->column)
		table->columns = table->column;
}

void table_left(struct table *table, enum style style, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_cell(table, false, style, format, args);
	va_end(args);
}

void table_right(struct table *table, enum style style, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_cell(table, true, style, format, args);
	va_end(args);
}

void table_end_row(struct table *table)
{
	table->column = 0;
}

/* A character of UTF-8 takes one: its following bytes take none. */
static size_t columns_of(const char *text)
{
	size_t columns = 0;

	for (; *text; text++)
		columns += ((unsigned char)*text & 0xc0) != 0x80;
	return columns;
}

void table_print(struct table *table, const struct cli *cli, int indent)
{
	size_t *widths = must(calloc(table->columns + 1, sizeof(*widths)));

	for (size_t i = 0; i < table->count; i++) {
		size_t len = columns_of(table->cells[i].text);

		if (widths[table->cells[i].column] < len)
			widths[table->cells[i].column] = len;
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct table_cell *cell = &table->cells[i];
		bool last = i + 1 == table->count || !table->cells[i + 1].column;
		int space = (int)(widths[cell->column] - columns_of(cell->text));

		printf("%*s", (cell->column ? 2 : indent) + (cell->right ? space : 0), "");
		printf("%s%s%s", style_begin(cli, cell->style), cell->text, style_end(cli, cell->style));
		if (last)
			putchar('\n');
		else
			printf("%*s", cell->right ? 0 : space, "");
		free(cell->text);
	}
	free(widths);
	free(table->cells);
	*table = (struct table){};
}

const char *style_begin(const struct cli *cli, enum style style)
{
	static const char *const sequences[] = {
		[STYLE_PLAIN] = "",
		[STYLE_BOLD] = "\033[1m",
		[STYLE_ALARM] = "\033[31m",
	};

	return cli->colour ? sequences[style] : "";
}

const char *style_end(const struct cli *cli, enum style style)
{
	return cli->colour && style != STYLE_PLAIN ? "\033[0m" : "";
}
