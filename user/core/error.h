/* SPDX-License-Identifier: Apache-2.0 */
/* An error for a person: what failed, on what, why, what to do. Filled by whoever knows, printed at the edge. */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

struct error {
	char text[1024]; /* one sentence or two, without control characters */
};

/* Formats the text and returns code (an -errno), so that `return fail(error, -EBUSY, "…")` reads as what it is. */
__attribute__((format(printf, 3, 4))) int fail(struct error *error, int code, const char *format, ...);

#endif
