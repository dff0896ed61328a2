/* SPDX-License-Identifier: Apache-2.0 */
/* Times of the week in which no rollout takes a step forward: "Fri 16:00 - Mon 08:00", or "22:00 - 06:00" every day. */
#ifndef CORE_FREEZE_H
#define CORE_FREEZE_H

#include <stdbool.h>
#include <stddef.h>

#define WEEK_MINUTES (7 * 24 * 60)
#define DAY_MINUTES (24 * 60)

/* From `from` up to, not including, `to`: minutes of the local week that begins on Monday 00:00. `from` > `to` goes round. */
struct freeze_window {
	unsigned from; /* 0..WEEK_MINUTES - 1; not equal to `to` */
	unsigned to;
	bool daily; /* both are minutes of any day, 0..DAY_MINUTES - 1 */
};

#define FREEZE_TEXT_LEN 32
/* Days are Mon to Sun, in any case; hours 00 to 23. 0, or -EINVAL with *ret untouched. */
int parse_freeze(const char *text, struct freeze_window *ret);
const char *format_freeze(const struct freeze_window *window, char buf[FREEZE_TEXT_LEN]); /* parses back */

/* weekday: as in struct tm, 0 is Sunday. Local time: what the clock on the wall shows. */
unsigned week_minute(int weekday, int hour, int minute);

/* Which of the windows holds at this minute of the week; -1: none. */
int freeze_holds(const struct freeze_window *windows, size_t count, unsigned minute);

#endif
