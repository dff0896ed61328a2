/* SPDX-License-Identifier: Apache-2.0 */
#include "io/answer.h"

#include <errno.h>
#include <string.h>

int parse_answer(const char *text, enum answer_verdict *ret)
{
	static const char *const words[] = {
#define X(name, word) [ANSWER_##name] = #word,
		ANSWERS(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = (enum answer_verdict)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* The length of the character that begins here; 0: none does (RFC 3629), or it is a control character. */
static size_t character_len(const unsigned char *at, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		unsigned min;
	} forms[] = {{0x80, 0x00, 0x20}, {0xe0, 0xc0, 0xa0}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		unsigned code;

		if ((*at & forms[i].mask) != forms[i].lead)
			continue;
		if (left <= i)
			return 0;
		code = *at & (unsigned char)~forms[i].mask;
		for (size_t j = 1; j <= i; j++) {
			if ((at[j] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (at[j] & 0x3f);
		}
		return code < forms[i].min || code == 0x7f || (code & ~0x7ffU) == 0xd800 || code > 0x10ffff ? 0 : i + 1;
	}
	return 0;
}

void clean_text(char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t character = character_len((unsigned char *)text + i, len - i);

		if (!character && text[i] != '\n' && text[i] != '\t')
			text[i] = '?';
		i += character ? character : 1;
	}
}

void first_line(const char *text, size_t len, char ret[ANSWER_REASON_LEN])
{
	const char *end = text + len;
	size_t line;

	while (text < end && (*text == '\n' || *text == '\r' || *text == ' '))
		text++;
	for (line = 0; text + line < end && text[line] != '\n' && text[line] != '\r'; line++)
		continue;
	if (line >= ANSWER_REASON_LEN)
		line = ANSWER_REASON_LEN - 1;
	memcpy(ret, text, line);
	ret[line] = '\0';
	clean_text(ret, line);
}
