/* SPDX-License-Identifier: Apache-2.0 */
#include "core/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define V4_BITS 96 /* of a v4-mapped address, before the IPv4 one */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int parse_unsigned(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	unsigned long long value = 0;
	const char *at = text;

	/* A leading 0 means octal to some readers: nobody may have to guess. */
	if (!*at || (at[0] == '0' && at[1]))
		return -EINVAL;
	for (; *at; at++) {
		if (!is_digit(*at))
			return -EINVAL;
		value = value * 10 + (unsigned)(*at - '0');
		if (value > max)
			return -EINVAL;
	}
	if (value < min)
		return -EINVAL;
	*ret = value;
	return 0;
}

static const struct {
	char letter;
	unsigned seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
#define UNITS (sizeof(units) / sizeof(units[0]))

/* Takes a number with its unit, which must come after `*unit` in the table. Returns what follows, or NULL. */
static const char *take_part(const char *text, unsigned max, size_t *unit, unsigned long long *total)
{
	size_t len = strspn(text, "0123456789");
	char number[16];
	unsigned value;

	if (len >= sizeof(number))
		return NULL;
	memcpy(number, text, len);
	number[len] = '\0';
	while (*unit < UNITS && units[*unit].letter != text[len])
		++*unit;
	if (*unit == UNITS || parse_unsigned(number, 0, max, &value) < 0)
		return NULL;
	*total += (unsigned long long)value * units[(*unit)++].seconds;
	return text + len + 1;
}

int parse_duration(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	unsigned long long total = 0;
	size_t unit = 0;

	if (!parse_unsigned(text, min, max, ret))
		return 0;
	do {
		text = take_part(text, max, &unit, &total);
	} while (text && *text);
	if (!text || total < min || total > max)
		return -EINVAL;
	*ret = total;
	return 0;
}

const char *format_duration(unsigned seconds, char buf[DURATION_TEXT_LEN])
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 1; i < UNITS; i++) {
		unsigned value = seconds / units[i].seconds;

		seconds %= units[i].seconds;
		if (value || (units[i].seconds == 1 && !len))
			len += (size_t)snprintf(buf + len, DURATION_TEXT_LEN - len, "%u%c", value, units[i].letter);
	}
	return buf;
}

int parse_milliseconds(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	size_t len = strspn(text, "0123456789");
	char number[16];
	unsigned seconds;

	if (!strcmp(text + len, "ms") && len < sizeof(number)) {
		memcpy(number, text, len);
		number[len] = '\0';
		return parse_unsigned(number, min, max, ret);
	}
	if (parse_duration(text, 0, max / 1000, &seconds) < 0 || seconds * 1000 < min)
		return -EINVAL;
	*ret = seconds * 1000;
	return 0;
}

const char *format_milliseconds(unsigned ms, char buf[DURATION_TEXT_LEN])
{
	if (ms % 1000 == 0)
		return format_duration(ms / 1000, buf);
	snprintf(buf, DURATION_TEXT_LEN, "%ums", ms);
	return buf;
}

int parse_addr(const char *text, struct canary_addr *ret)
{
	struct canary_addr addr = {};
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*ret = (struct canary_addr){{0, 0, htonl(0xffff), v4.s_addr}};
		return 0;
	}
	if (inet_pton(AF_INET6, text, &addr) != 1)
		return -EINVAL;
	if (addr_is_v4(&addr))
		return -EAFNOSUPPORT;
	*ret = addr;
	return 0;
}

int parse_port(const char *text, int *ret)
{
	unsigned port;

	if (parse_unsigned(text, 0, 65535, &port) < 0)
		return -EINVAL;
	*ret = port;
	return 0;
}

/* Parses the first `len` characters as an address. */
static int parse_addr_part(const char *text, size_t len, struct canary_addr *ret)
{
	char buf[ADDR_TEXT_LEN];

	if (len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	return parse_addr(buf, ret);
}

int parse_endpoint(const char *text, struct canary_addr *ret_addr, int *ret_port)
{
	bool bracketed = text[0] == '[';
	const char *start = text + bracketed;
	const char *end = bracketed ? strchr(start, ']') : start + strcspn(start, ":");
	const char *rest;
	struct canary_addr addr;
	int port = PORT_DEFAULT;
	int err;

	if (!end)
		return -EINVAL;
	if (!bracketed && *end && strchr(end + 1, ':'))
		end = text + strlen(text); /* a bare IPv6 address */
	rest = end + bracketed;
	err = parse_addr_part(start, (size_t)(end - start), &addr);
	if (err < 0)
		return err;
	if (bracketed && addr_is_v4(&addr))
		return -EINVAL;
	if (*rest && (*rest != ':' || parse_port(rest + 1, &port) < 0))
		return -EINVAL;
	*ret_addr = addr;
	*ret_port = port;
	return 0;
}

int parse_prefix(const char *text, struct canary_addr *ret_addr, unsigned *ret_len)
{
	size_t addr_len = strcspn(text, "/");
	struct canary_addr addr;
	unsigned before, len;
	int err;

	err = parse_addr_part(text, addr_len, &addr);
	if (err < 0)
		return err;
	before = addr_is_v4(&addr) ? V4_BITS : 0;
	len = 128 - before;
	if (text[addr_len] && parse_unsigned(text + addr_len + 1, 0, len, &len) < 0)
		return -EINVAL;
	if (!prefix_is_clean(&addr, before + len))
		return -ERANGE;
	*ret_addr = addr;
	*ret_len = before + len;
	return 0;
}

int parse_hundredths(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	const char *dot = strchr(text, '.');
	size_t whole_len = dot ? (size_t)(dot - text) : strlen(text);
	unsigned whole, hundredths = 0;
	char buf[8];

	if (whole_len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, whole_len);
	buf[whole_len] = '\0';
	if (parse_unsigned(buf, 0, max / 100, &whole) < 0)
		return -EINVAL;
	if (dot) {
		if (!is_digit(dot[1]) || (dot[2] && (!is_digit(dot[2]) || dot[3])))
			return -EINVAL;
		hundredths = (unsigned)(dot[1] - '0') * 10 + (dot[2] ? (unsigned)(dot[2] - '0') : 0);
	}
	hundredths += whole * 100;
	if (hundredths < min || hundredths > max)
		return -EINVAL;
	*ret = hundredths;
	return 0;
}

const char *format_hundredths(unsigned hundredths, char buf[HUNDREDTHS_TEXT_LEN])
{
	unsigned whole = hundredths / 100, part = hundredths % 100;

	if (part % 10)
		snprintf(buf, HUNDREDTHS_TEXT_LEN, "%u.%02u", whole, part);
	else if (part)
		snprintf(buf, HUNDREDTHS_TEXT_LEN, "%u.%u", whole, part / 10);
	else
		snprintf(buf, HUNDREDTHS_TEXT_LEN, "%u", whole);
	return buf;
}

int parse_weight(const char *text, int *ret)
{
	unsigned weight;

	if (parse_hundredths(text, 0, CANARY_WEIGHT_ONE, &weight) < 0)
		return -EINVAL;
	*ret = (int)weight;
	return 0;
}

int parse_mss(const char *text, unsigned *ret)
{
	if (!strcmp(text, "auto"))
		*ret = CANARY_MSS_AUTO;
	else if (!strcmp(text, "off"))
		*ret = 0;
	else
		return parse_unsigned(text, CANARY_MSS_MIN, CANARY_MSS_MAX, ret);
	return 0;
}

const char *format_mss(unsigned mss, char buf[MSS_TEXT_LEN])
{
	if (mss == CANARY_MSS_AUTO || !mss)
		snprintf(buf, MSS_TEXT_LEN, "%s", mss ? "auto" : "off");
	else
		snprintf(buf, MSS_TEXT_LEN, "%u", mss);
	return buf;
}

bool name_is_valid(const char *text)
{
	size_t len = strlen(text);

	if (!is_letter(text[0]) && !is_digit(text[0]))
		return false;
	if (len >= CANARY_NAME_LEN)
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr("-_.", text[i]))
			return false;
	}
	return true;
}

const char *format_addr(const struct canary_addr *addr, char buf[ADDR_TEXT_LEN])
{
	if (addr_is_v4(addr))
		return inet_ntop(AF_INET, &addr->word[3], buf, ADDR_TEXT_LEN);
	return inet_ntop(AF_INET6, addr, buf, ADDR_TEXT_LEN);
}

const char *format_endpoint(const struct canary_addr *addr, int port, char buf[ADDR_TEXT_LEN])
{
	char text[INET6_ADDRSTRLEN];

	if (addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->word[3], text, sizeof(text));
	else
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	snprintf(buf, ADDR_TEXT_LEN, addr_is_v4(addr) ? "%s:%d" : "[%s]:%d", text, port);
	return buf;
}

const char *format_prefix(const struct canary_addr *addr, unsigned prefix_len, char buf[ADDR_TEXT_LEN])
{
	size_t len;

	format_addr(addr, buf);
	len = strlen(buf);
	snprintf(buf + len, ADDR_TEXT_LEN - len, "/%u", prefix_len - (addr_is_v4(addr) ? V4_BITS : 0));
	return buf;
}

__u32 weight_threshold(int weight)
{
	/* A hundredth of a percent is 6.55 of 65,536: rounding makes neither "none" nor "all" of anything else. */
	return ((__u32)weight * CANARY_THRESHOLD_ONE + CANARY_WEIGHT_ONE / 2) / CANARY_WEIGHT_ONE;
}
