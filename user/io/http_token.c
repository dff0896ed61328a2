/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a file: comments are to have room. */
#define FILE_MAX 32768

#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
#define SPACE " \t\r"

static const char feedback_word[] = "feedback";
static const char scheme[] = "Bearer ";

static int check_file(int fd, const char *path, struct error *error)
{
	struct stat status;

	if (fstat(fd, &status))
		return fail(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return fail(error, -EINVAL, "%s: is no file, and so none of tokens", path);
	if (status.st_uid && status.st_uid != geteuid())
		return fail(error, -EPERM, "%s: belongs to user %u, who could give tokens: chown it to root", path,
			    status.st_uid);
	if (status.st_mode & 037)
		return fail(error, -EPERM,
			    "%s: is open to others: who knows a token may roll back and promote: chmod 600 it, or 640",
			    path);
	return 0;
}

/* One line, which has been cut into its words. */
static int add(struct http_tokens *tokens, const char *path, unsigned line, char *text, struct error *error)
{
	char *rest = text, *word = strtok_r(text, SPACE, &rest);
	struct http_token *token = &tokens->token[tokens->count];
	enum http_grant grant = HTTP_GRANT_ALL;
	size_t len;

	if (!word || *word == '#')
		return 0;
	if (tokens->count == HTTP_TOKENS_MAX)
		return fail(error, -EINVAL, "%s: line %u: there are %d tokens at most", path, line, HTTP_TOKENS_MAX);
	if (!strcmp(word, feedback_word)) {
		grant = HTTP_GRANT_FEEDBACK;
		word = strtok_r(NULL, SPACE, &rest);
	}
	len = word ? strspn(word, TOKEN_CHARACTERS) : 0;
	if (!word || word[len] || strtok_r(NULL, SPACE, &rest))
		return fail(
			error, -EINVAL,
			"%s: line %u: is no token, and no \"feedback\" with one: make one with openssl rand -hex 32",
			path, line);
	if (len < HTTP_TOKEN_MIN || len > HTTP_TOKEN_MAX)
		return fail(error, -EINVAL,
			    "%s: line %u: a token has %d to %d characters: make one with openssl rand -hex 32", path,
			    line, HTTP_TOKEN_MIN, HTTP_TOKEN_MAX);
	token->grant = grant;
	memcpy(token->text, word, len);
	tokens->count++;
	return 0;
}

static int parse(const char *path, char *text, struct http_tokens *tokens, struct error *error)
{
	char *line = text;

	for (unsigned number = 1; line; number++) {
		char *end = strchr(line, '\n');
		int err;

		if (end)
			*end = '\0';
		err = add(tokens, path, number, line, error);
		if (err)
			return err;
		line = end ? end + 1 : NULL;
	}
	return tokens->count ? 0 : fail(error, -EINVAL, "%s: has no token: make one with openssl rand -hex 32", path);
}

/* All of it, with a zero behind. */
static int read_text(int fd, const char *path, char *text, struct error *error)
{
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	if (got < 0)
		return fail(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
	if (len == FILE_MAX || strlen(text) != len)
		return fail(error, -EINVAL, "%s: is no file of tokens: it is too long, or no text", path);
	return 0;
}

int http_tokens_load(const char *path, struct http_tokens *ret, struct error *error)
{
	struct http_tokens *tokens = calloc(1, sizeof(*tokens));
	char *text = malloc(FILE_MAX + 1);
	/* What is no file must not make us wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err;

	if (!tokens || !text)
		err = fail(error, -ENOMEM, "out of memory");
	else if (fd < 0)
		err = fail(error, -errno, "%s: cannot be read: %s%s", path, strerror(errno),
			   errno == EACCES ? ": give it the group of canaryd's user, and mode 640" : "");
	else
		err = check_file(fd, path, error);
	if (!err)
		err = read_text(fd, path, text, error);
	if (!err)
		err = parse(path, text, tokens, error);
	if (!err)
		*ret = *tokens;
	if (tokens)
		http_tokens_clear(tokens);
	if (text)
		explicit_bzero(text, FILE_MAX);
	free(tokens);
	free(text);
	if (fd >= 0)
		close(fd);
	return err;
}

/* All bytes of both, whatever they are. */
static bool is_same(const char a[HTTP_TOKEN_MAX + 1], const char b[HTTP_TOKEN_MAX + 1])
{
	volatile unsigned char differ = 0;

	for (size_t i = 0; i <= HTTP_TOKEN_MAX; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return !differ;
}

enum http_grant http_tokens_check(const struct http_tokens *tokens, const char *authorization)
{
	enum http_grant grant = HTTP_GRANT_NONE;
	char shown[HTTP_TOKEN_MAX + 1] = "";
	size_t len;

	if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return HTTP_GRANT_NONE;
	authorization += sizeof(scheme) - 1;
	authorization += strspn(authorization, SPACE);
	len = strcspn(authorization, SPACE);
	if (len > HTTP_TOKEN_MAX || authorization[len + strspn(authorization + len, SPACE)])
		return HTTP_GRANT_NONE;
	memcpy(shown, authorization, len);
	for (size_t i = 0; i < tokens->count; i++)
		if (is_same(shown, tokens->token[i].text) && tokens->token[i].grant > grant)
			grant = tokens->token[i].grant;
	explicit_bzero(shown, sizeof(shown));
	return grant;
}

void http_tokens_clear(struct http_tokens *tokens)
{
	explicit_bzero(tokens, sizeof(*tokens));
}
