/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal that a command has for itself for a while: its alternate screen, and keys as they are pressed. Whatever ends the
 * command but SIGKILL, the terminal is given back as it was.
 *
 * Escape sequences of ECMA-48 and xterm's alternate screen, which every terminal of today has, and no curses: that would
 * cost every command's start, and what is drawn is whole lines, which need none of it.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <linux/types.h>
#include <stdbool.h>

/* Is standard output a terminal that can be drawn on? */
bool terminal_is_there(void);
/* Does the locale take UTF-8? */
bool terminal_has_utf8(void);
/* As it is now; 80 by 24 where it does not say. */
void terminal_size(int *ret_columns, int *ret_rows);

void terminal_take(void);
void terminal_give_back(void); /* once or often, or without having taken it */

/* Draws text over what is there, cut at the terminal's edges; `last` stands in its last line. Escape sequences of style only. */
void terminal_draw(const char *text, const char *last);

enum terminal_event {
	TERMINAL_TIME, /* it is time */
	TERMINAL_RESIZED, /* or the command was suspended: to be drawn again */
	TERMINAL_QUIT, /* by a key, a signal, or as nobody is there any more */
	TERMINAL_NEXT,
	TERMINAL_PREVIOUS,
	TERMINAL_DIGIT,
};
/* Waits until something happens, or a time of clock_monotonic_ns(). *ret_digit is 1 to 9, of TERMINAL_DIGIT. */
enum terminal_event terminal_wait(__u64 until_ns, int *ret_digit);

#endif
