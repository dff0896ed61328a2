/* SPDX-License-Identifier: Apache-2.0 */
#include "core/freeze.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const days[7] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

/* Two digits. -1: they are not, or more than `max`. */
static int two_digits(const char *text, int max)
{
	int value;

	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return -1;
	value = (text[0] - '0') * 10 + text[1] - '0';
	return value <= max ? value : -1;
}

/* "16:00", with a day before it or not. Returns what follows, or NULL. */
static const char *take_time(const char *text, unsigned *ret, bool *ret_has_day)
{
	int hour, minute, day = 0;

	*ret_has_day = false;
	for (int i = 0; i < 7; i++) {
		if (!strncasecmp(text, days[i], 3) && text[3] == ' ') {
			day = i;
			*ret_has_day = true;
			text += 4;
			break;
		}
	}
	hour = two_digits(text, 23);
	if (hour < 0 || text[2] != ':')
		return NULL;
	minute = two_digits(text + 3, 59);
	if (minute < 0)
		return NULL;
	*ret = (unsigned)(day * DAY_MINUTES + hour * 60 + minute);
	return text + 5;
}

int parse_freeze(const char *text, struct freeze_window *ret)
{
	struct freeze_window window;
	bool from_day, to_day;

	text = take_time(text, &window.from, &from_day);
	if (!text || strncmp(text, " - ", 3))
		return -EINVAL;
	text = take_time(text + 3, &window.to, &to_day);
	if (!text || *text || from_day != to_day || window.from == window.to)
		return -EINVAL;
	window.daily = !from_day;
	*ret = window;
	return 0;
}

static size_t format_time(unsigned minute, bool daily, char *buf, size_t size)
{
	unsigned of_day = minute % DAY_MINUTES;

	return (size_t)snprintf(buf, size, "%s%s%02u:%02u", daily ? "" : days[minute / DAY_MINUTES % 7],
				daily ? "" : " ", of_day / 60, of_day % 60);
}

const char *format_freeze(const struct freeze_window *window, char buf[FREEZE_TEXT_LEN])
{
	size_t len = format_time(window->from, window->daily, buf, FREEZE_TEXT_LEN);

	len += (size_t)snprintf(buf + len, FREEZE_TEXT_LEN - len, " - ");
	format_time(window->to, window->daily, buf + len, FREEZE_TEXT_LEN - len);
	return buf;
}

unsigned week_minute(int weekday, int hour, int minute)
{
	return (unsigned)((weekday + 6) % 7 * DAY_MINUTES + hour * 60 + minute);
}

int freeze_holds(const struct freeze_window *windows, size_t count, unsigned minute)
{
	for (size_t i = 0; i < count; i++) {
		const struct freeze_window *window = &windows[i];
		unsigned at = window->daily ? minute % DAY_MINUTES : minute;
		bool after = at >= window->from, before = at < window->to;

		if (window->from < window->to ? after && before : after || before)
			return (int)i;
	}
	return -1;
}
