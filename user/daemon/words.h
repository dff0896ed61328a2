/* SPDX-License-Identifier: Apache-2.0 */
/* A command line of the configuration: no shell, words with spaces between them. */
#ifndef DAEMON_WORDS_H
#define DAEMON_WORDS_H

#include "core/rollout_plan.h"

#define WORDS_MAX 64

struct words {
	char text[ROLLOUT_TEXT_LEN];
	char *argv[WORDS_MAX + 1]; /* up to a NULL; into text */
};

/* What is in single or double quotes is one word, or part of one. 0, or -EINVAL: too many, none, or a quote is open. */
int words_split(const char *line, struct words *ret);

/* An environment for a command: "CANARY_SERVICE=web", up to a NULL. */
#define ENVIRONMENT_MAX 8
struct environment {
	char text[ENVIRONMENT_MAX][160];
	char *list[ENVIRONMENT_MAX + 1];
	int count;
};
__attribute__((format(printf, 2, 3))) void environment_add(struct environment *environment, const char *format, ...);

#endif
