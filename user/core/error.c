/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

int fail(struct error *error, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	/* Texts may quote what somebody sent: it must not move a terminal's cursor, or begin a line of its own in a log. */
	for (char *at = error->text; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	return code;
}
