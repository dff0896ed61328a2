/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base64.h"

#include <errno.h>
#include <linux/types.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, char *ret)
{
	const unsigned char *at = data;

	for (; len; at += 3) {
		size_t got = len < 3 ? len : 3;
		__u32 bits = (__u32)at[0] << 16 | (got > 1 ? at[1] << 8 : 0) | (got > 2 ? at[2] : 0);

		for (size_t i = 0; i < 4; i++)
			*ret++ = i > got ? '=' : alphabet[bits >> (18 - 6 * i) & 0x3f];
		len -= got;
	}
	*ret = '\0';
}

static int sextet(char letter)
{
	const char *at = letter ? strchr(alphabet, letter) : NULL;

	return at ? (int)(at - alphabet) : -EINVAL;
}

int base64_decode(const char *text, size_t text_len, void *ret, size_t *ret_len)
{
	unsigned char *out = ret;
	size_t padding = 0;

	if (text_len % 4)
		return -EINVAL;
	while (padding < 2 && padding < text_len && text[text_len - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text_len; i += 4) {
		size_t letters = i + 4 < text_len ? 4 : 4 - padding;
		__u32 bits = 0;

		for (size_t j = 0; j < 4; j++) {
			int value = j < letters ? sextet(text[i + j]) : 0;

			if (value < 0)
				return -EINVAL;
			bits = bits << 6 | (__u32)value;
		}
		if (bits & ((1U << 8 * (4 - letters)) - 1))
			return -EINVAL;
		for (size_t j = 0; j + 1 < letters; j++)
			*out++ = (unsigned char)(bits >> (16 - 8 * j));
	}
	*ret_len = (size_t)(out - (unsigned char *)ret);
	return 0;
}
