/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

int words_split(const char *line, struct words *ret)
{
	char *to = ret->text, quote = '\0';
	bool inside = false;
	int count = 0;

	for (const char *at = line; *at; at++) {
		bool space = !quote && (*at == ' ' || *at == '\t');

		if (space && inside)
			*to++ = '\0';
		if (space) {
			inside = false;
			continue;
		}
		if (!inside) {
			if (count == WORDS_MAX)
				return -EINVAL;
			ret->argv[count++] = to;
		}
		inside = true;
		if (quote && *at == quote)
			quote = '\0';
		else if (!quote && (*at == '\'' || *at == '"'))
			quote = *at;
		else
			*to++ = *at;
	}
	*to = '\0';
	ret->argv[count] = NULL;
	return count && !quote ? 0 : -EINVAL;
}

void environment_add(struct environment *environment, const char *format, ...)
{
	char *text = environment->text[environment->count];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(environment->text[0]), format, args);
	va_end(args);
	environment->list[environment->count++] = text;
	environment->list[environment->count] = NULL;
}
