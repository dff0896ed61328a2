/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "ops/clock.h"

#define NSEC_PER_SEC 1000000000ULL

#define TAKE "\033[?1049h\033[?25l" /* alternate screen, no cursor */
#define GIVE_BACK "\033[0m\033[?25h\033[?1049l"
#define HOME "\033[H"
#define ERASE_LINE "\033[2K"
#define ERASE_BELOW "\033[J"
#define PLAIN "\033[0m"
#define ESCAPE '\033'

/* Those that end the command, and those of a crash. */
static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static volatile sig_atomic_t taken, ended, resized, suspended;
static struct termios before; /* of standard input, where that is a terminal */
static bool has_keys;
static sigset_t waiting; /* the signals that are blocked while we wait: none of ours */

bool terminal_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool terminal_has_utf8(void)
{
	/* Not setlocale(): numbers are written and read as in C. */
	locale_t locale = newlocale(LC_CTYPE_MASK, "", 0);
	bool utf8 = locale && !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");

	if (locale)
		freelocale(locale);
	return utf8;
}

void terminal_size(int *ret_columns, int *ret_rows)
{
	struct winsize size = {};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_columns = size.ws_col ? size.ws_col : 80;
	*ret_rows = size.ws_row ? size.ws_row : 24;
}

/* Also out of a signal's handler: nothing but system calls. */
static void give_back(void)
{
	ssize_t ignored;

	if (!taken)
		return;
	taken = 0;
	ignored = write(STDOUT_FILENO, GIVE_BACK, sizeof(GIVE_BACK) - 1);
	(void)ignored;
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void take(void)
{
	struct termios raw;
	ssize_t ignored;

	has_keys = !tcgetattr(STDIN_FILENO, &before);
	taken = 1;
	if (has_keys) {
		raw = before;
		/* ^C and ^Z stay signals. */
		raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	ignored = write(STDOUT_FILENO, TAKE, sizeof(TAKE) - 1);
	(void)ignored;
}

static void note_ending(int signal)
{
	(void)signal;
	ended = 1;
}

static void note_resize(int signal)
{
	(void)signal;
	resized = 1;
}

static void note_suspension(int signal)
{
	(void)signal;
	suspended = 1;
}

/* The handler is gone: the signal that comes again does what it would have done. */
static void crash(int signal)
{
	give_back();
	raise(signal);
}

void terminal_take(void)
{
	const struct sigaction crashing = {.sa_handler = crash, .sa_flags = (int)SA_RESETHAND};
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGWINCH);
	sigaddset(&ours, SIGTSTP);
	sigaction(SIGWINCH, &(struct sigaction){.sa_handler = note_resize}, NULL);
	sigaction(SIGTSTP, &(struct sigaction){.sa_handler = note_suspension}, NULL);
	for (size_t i = 0; i < COUNT(endings); i++) {
		sigaddset(&ours, endings[i]);
		sigaction(endings[i], &(struct sigaction){.sa_handler = note_ending}, NULL);
	}
	for (size_t i = 0; i < COUNT(crashes); i++)
		sigaction(crashes[i], &crashing, NULL);
	/* They come while we wait, and only then: none is missed between a look and the wait. */
	sigprocmask(SIG_BLOCK, &ours, &waiting);
	atexit(give_back);
	take();
}

void terminal_give_back(void)
{
	give_back();
}

/* ^Z: the shell gets its terminal, and we go on when it says so. */
static void suspend(void)
{
	suspended = 0;
	give_back();
	raise(SIGSTOP);
	take();
}

/* A line as far as it fits. Returns what follows it, NULL: nothing. */
static const char *draw_line(const char *text, int columns)
{
	const char *end = strchrnul(text, '\n');
	bool styled = false;
	int column = 0;

	fputs(ERASE_LINE, stdout);
	for (const char *at = text; at < end; at++) {
		if (*at == ESCAPE) {
			size_t len = strcspn(at, "m") + 1;

			fwrite(at, 1, len, stdout);
			at += len - 1;
			styled = true;
			continue;
		}
		/* A character of UTF-8 takes one column: its following bytes take none. */
		column += ((unsigned char)*at & 0xc0) != 0x80;
		if (column > columns)
			break;
		putchar(*at);
	}
	/* The end of a style may be cut off. */
	if (styled)
		fputs(PLAIN, stdout);
	return *end ? end + 1 : NULL;
}

void terminal_draw(const char *text, const char *last)
{
	int columns, rows;

	terminal_size(&columns, &rows);
	fputs(HOME, stdout);
	for (int row = 1; row < rows && text && *text; row++) {
		text = draw_line(text, columns);
		putchar('\n');
	}
	fputs(ERASE_BELOW, stdout);
	printf("\033[%d;1H", rows);
	draw_line(last, columns);
}

/* The arrows, as terminals send them in either mode; of another sequence the rest is taken for keys. */
static enum terminal_event read_arrow(void)
{
	char rest[2] = "";

	if (read(STDIN_FILENO, rest, sizeof(rest)) < 2 || !strchr("[O", rest[0]))
		return TERMINAL_RESIZED;
	switch (rest[1]) {
	case 'A':
	case 'D':
		return TERMINAL_PREVIOUS;
	case 'B':
	case 'C':
		return TERMINAL_NEXT;
	default:
		return TERMINAL_RESIZED;
	}
}

/* One: there may be more. */
static enum terminal_event read_key(int *ret_digit)
{
	char key;

	if (read(STDIN_FILENO, &key, 1) < 1)
		return TERMINAL_QUIT; /* it has hung up */
	switch (key) {
	case ESCAPE:
		return read_arrow();
	case 'q':
	case 'Q':
		return TERMINAL_QUIT;
	case '\t':
	case 'n':
	case 'j':
		return TERMINAL_NEXT;
	case 'p':
	case 'k':
		return TERMINAL_PREVIOUS;
	case '1' ... '9':
		*ret_digit = key - '0';
		return TERMINAL_DIGIT;
	default:
		return TERMINAL_RESIZED;
	}
}

enum terminal_event terminal_wait(__u64 until_ns, int *ret_digit)
{
	struct pollfd keys = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	__u64 now = clock_monotonic_ns(), left = until_ns > now ? until_ns - now : 0;
	const struct timespec timeout = {.tv_sec = (time_t)(left / NSEC_PER_SEC),
					 .tv_nsec = (long)(left % NSEC_PER_SEC)};
	int ready = ppoll(&keys, 1, &timeout, &waiting);

	if (ended)
		return TERMINAL_QUIT;
	if (suspended)
		suspend();
	else if (!resized && !ready)
		return TERMINAL_TIME;
	else if (ready > 0)
		return read_key(ret_digit);
	resized = 0;
	return TERMINAL_RESIZED;
}
