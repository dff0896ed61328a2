/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

void *must(void *memory)
{
	if (memory)
		return memory;
	fputs("canaryctl: out of memory\n", stderr);
	_exit(CLI_FAILED);
}

static void *must_malloc(size_t size)
{
	return must(malloc(size));
}

void output_init(void)
{
	static char buffer[1 << 16];

	/* A closed stdout or stderr would be the number of the next file opened: text would be written into that. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
			_exit(CLI_FAILED);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	json_set_alloc_funcs(must_malloc, free);
}

bool output_flush(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};
	static int failed;

	if (!failed && fflush(stdout))
		failed = errno;
	/* Written before, when the buffer was full: stdio has forgotten why that failed. */
	if (!failed && ferror(stdout))
		failed = poll(&out, 1, 0) > 0 && out.revents & POLLERR ? EPIPE : EIO;
	errno = failed;
	return !failed;
}

bool output_wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

/* The length of the UTF-8 sequence at text, 0 if it is none (RFC 3629: no surrogates, no overlong forms). */
static size_t utf8_len(const unsigned char *text)
{
	static const struct {
		unsigned char first, last, low, high; /* of the first byte; of the second */
		size_t len;
	} forms[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	if (text[0] >= 0x20 && text[0] < 0x7f)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (text[1] < forms[i].low || text[1] > forms[i].high)
			return 0;
		if (forms[i].len == 2)
			return text[0] == 0xc2 && text[1] < 0xa0 ? 0 : 2; /* C1 controls */
		for (size_t at = 2; at < forms[i].len; at++)
			if ((text[at] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

char *harmless(const char *text)
{
	char *copy = must(strdup(text));

	for (size_t at = 0; copy[at];) {
		size_t len = utf8_len((const unsigned char *)copy + at);

		if (!len)
			copy[at] = '?';
		at += len ? len : 1;
	}
	return copy;
}

json_t *json_text(const char *text)
{
	char *copy = harmless(text);
	json_t *string = json_string(copy);

	free(copy);
	return string;
}

void make_harmless(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach (value, key, member)
			make_harmless(member);
	} else if (json_is_array(value)) {
		json_array_foreach (value, i, member)
			make_harmless(member);
	} else if (json_is_string(value)) {
		char *copy = harmless(json_string_value(value));

		json_string_set_nocheck(value, copy);
		free(copy);
	}
}

static void print_message(bool json, const char *key, const char *prefix, const char *text)
{
	/* On a terminal, what was done comes before what is wrong with it. */
	output_flush();
	if (json) {
		json_t *object = json_pack("{s:o}", key, json_text(text));

		json_dumpf(object, stderr, 0);
		json_decref(object);
		fputc('\n', stderr);
	} else {
		char *copy = harmless(text);

		fprintf(stderr, "%s: %s\n", prefix, copy);
		free(copy);
	}
}

void print_error(bool json, const char *text)
{
	print_message(json, "error", "canaryctl", text);
}

char *format_text(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	return must(text);
}

void print_warning(const struct cli *cli, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	print_message(cli->json, "warning", "warning", text);
	free(text);
}

void print_json(json_t *value)
{
	/* 12 digits: weights and rates come out as written, not as their nearest double. */
	json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(value);
}

void report(const struct cli *cli, bool changed, json_t *details, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	if (cli->json) {
		json_t *object = json_pack("{s:b, s:o}", "changed", changed, "text", json_text(text));

		if (details)
			json_object_update(object, details);
		print_json(object);
	} else {
		char *copy = harmless(text);

		puts(copy);
		free(copy);
	}
	json_decref(details);
	free(text);
}
