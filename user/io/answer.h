/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody outside says of a canary: a command, a webhook. */
#ifndef IO_ANSWER_H
#define IO_ANSWER_H

#include <stddef.h>

#define ANSWER_REASON_LEN 256

/* One list: the enum and the words in JSON. */
#define ANSWERS(X)                                                                                                     \
	X(PASS, pass)                                                                                                  \
	X(FAIL, fail)                                                                                                  \
	X(INCONCLUSIVE, inconclusive) /* also: nothing could be found out */

enum answer_verdict {
#define X(name, word) ANSWER_##name,
	ANSWERS(X)
#undef X
};

struct answer {
	enum answer_verdict verdict;
	char reason[ANSWER_REASON_LEN]; /* one line for a person, "" if nothing was said */
};

int parse_answer(const char *text, enum answer_verdict *ret); /* 0, or -EINVAL with *ret untouched */

/*
 * What others wrote, made safe for a terminal and for JSON: control characters and bytes that are no UTF-8 become '?',
 * but for newlines and tabs. len without the zero that is behind it.
 */
void clean_text(char *text, size_t len);
/* The first line of it that is not empty, cleaned and cut to fit, for a reason. */
void first_line(const char *text, size_t len, char ret[ANSWER_REASON_LEN]);

#endif
