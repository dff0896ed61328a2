/* SPDX-License-Identifier: Apache-2.0 */
/* What a person or a program gets to read. Text from outside is made harmless here: no control characters, valid UTF-8. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>

#include "cli/cli.h"

/* Before anything else: buffers stdout, makes broken pipes an error to be seen, fills closed standard descriptors. */
void output_init(void);
/* Flushes stdout; false with errno where something was not written. */
bool output_flush(void);
bool output_wants_colour(void);

/* One line on stderr: "canaryctl: …", or {"error": "…"}. */
void print_error(bool json, const char *text);
/* The same for what is worth knowing, but has failed nothing. */
__attribute__((format(printf, 2, 3))) void print_warning(const struct cli *cli, const char *format, ...);

/* Ends the program where memory is NULL: views are built of many small allocations, and none can be done without. */
void *must(void *memory);
/* To be freed. */
char *format_text(const char *format, va_list args);

/* A copy with everything replaced by '?' that could upset a terminal or a JSON reader. To be freed. */
char *harmless(const char *text);
json_t *json_text(const char *text);
/* The same of every text in a tree that came from outside. */
void make_harmless(json_t *value);

/* One compact line on stdout. Takes the reference. */
void print_json(json_t *value);

/*
 * What a command did: the sentence, or *details (an object, or NULL for none; the reference is taken) with
 * {"changed": …, "text": "…"} added.
 */
__attribute__((format(printf, 4, 5))) void report(const struct cli *cli, bool changed, json_t *details,
						  const char *format, ...);

#endif
