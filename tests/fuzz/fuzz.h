/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers of user space share. A finding is said, and ends the process, which libFuzzer notes. */
#ifndef FUZZ_H
#define FUZZ_H

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

__attribute__((format(printf, 1, 2), noreturn)) static inline void fuzz_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

/* An error is negative and comes with a sentence of one line, which no input can smuggle control characters into. */
static inline void fuzz_check_error(int err, const struct error *error)
{
	if (err > 0)
		fuzz_fail("an error is positive: %d", err);
	if (!err)
		return;
	if (!error->text[0])
		fuzz_fail("error %d without a sentence", err);
	for (const char *at = error->text; *at; at++)
		if (iscntrl((unsigned char)*at))
			fuzz_fail("a control character is in \"%s\"", error->text);
}

#endif
