/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the user's: what comes back of them, and that nothing of them stays behind. */
/* Before cmocka.h, which makes fail() a macro. */
#include "lib_http.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/command.h"
#include "io/watch.h"

static struct command_result result;
static int ended;

static void note(const struct command_result *given, void *arg)
{
	(void)arg;
	result = *given;
	ended++;
}

static struct command *start_words(char *const *argv, unsigned timeout)
{
	static char *const environment[] = {"CANARY_SERVICE=web", "CANARY_WEIGHT=5", NULL};
	struct command *command;
	struct error error = {};

	ended = 0;
	if (command_start(argv, environment, timeout, note, NULL, &command, &error))
		fail_msg("%s", error.text);
	return command;
}

static struct command *start(const char *script, unsigned timeout)
{
	char *const argv[] = {"sh", "-c", (char *)script, NULL};

	return start_words(argv, timeout);
}

static void drive(struct command *command)
{
	__s64 end = clock_ms() + 20000;

	while (!ended && clock_ms() < end) {
		wait_for(command_fd(command), 1000);
		command_run(command);
	}
	assert_int_equal(ended, 1);
}

static void run(const char *script, unsigned timeout)
{
	drive(start(script, timeout));
}

static void test_what_it_wrote_and_how_it_ended_is_kept(void **state)
{
	(void)state;
	run("echo out; echo err >&2; exit 3", 5000);
	assert_string_equal(result.out.text, "out\n");
	assert_string_equal(result.err.text, "err\n");
	assert_int_equal(result.code, 3);
	assert_int_equal(result.signal, 0);
	assert_false(result.timed_out);
	run("kill -SEGV $$", 5000);
	assert_int_equal(result.code, -1);
	assert_int_equal(result.signal, SIGSEGV);
	run("printf 'a\\033[31m\\377b'", 5000);
	assert_string_equal(result.out.text, "a?[31m?b");
}

static void test_words_are_taken_as_they_are(void **state)
{
	char *const argv[] = {"printf", "%s|", "a b", "$HOME", "; rm -rf x", "", NULL};

	(void)state;
	drive(start_words(argv, 5000));
	assert_string_equal(result.out.text, "a b|$HOME|; rm -rf x||");
}

static void test_its_surroundings_are_known(void **state)
{
	unsigned long long blocked, ignored;

	(void)state;
	setenv("NOTIFY_SOCKET", "/run/secret", 1);
	run("env | sort; pwd; readlink /proc/$$/fd/0; "
	    "for i in 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ ! -e /proc/$$/fd/$i ] || echo $i; done",
	    5000);
	assert_string_equal(result.out.text, "CANARY_SERVICE=web\nCANARY_WEIGHT=5\n"
					     "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
					     "PWD=/\n/\n/dev/null\n");
	signal(SIGPIPE, SIG_IGN);
	run("grep -E 'SigIgn|SigBlk' /proc/self/status", 5000);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(sscanf(result.out.text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	/* 32 and 33 are the C library's own, and as this test's parent left them. */
	assert_int_equal(ignored & ~(3ULL << 31), 0);
}

static void test_output_without_end_is_bounded(void **state)
{
	(void)state;
	run("head -c 1000000 /dev/zero | tr '\\0' x; yes >&2 & sleep 0.2; kill $!", 10000);
	assert_int_equal(result.code, 0);
	assert_int_equal(result.out.len, COMMAND_OUTPUT_MAX);
	assert_int_equal(strlen(result.out.text), COMMAND_OUTPUT_MAX);
	assert_int_equal(result.out.dropped, 1000000 - COMMAND_OUTPUT_MAX);
	assert_int_equal(result.err.len, COMMAND_OUTPUT_MAX);
}

static void test_one_that_takes_too_long_is_ended(void **state)
{
	(void)state;
	run("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done", 200);
	assert_true(result.timed_out);
	assert_string_equal(result.out.text, "bye\n");
	assert_true(result.milliseconds >= 200 && result.milliseconds < COMMAND_GRACE);
	run("trap '' TERM; while :; do sleep 0.05; done", 100);
	assert_true(result.timed_out);
	assert_int_equal(result.signal, SIGKILL);
	assert_true(result.milliseconds >= 100 + COMMAND_GRACE);
}

/* Is the process whose number the command wrote still there? A zombie, whose parent is gone with it, soon is not. */
static void assert_gone(pid_t pid)
{
	assert_true(pid > 1);
	for (int i = 0; i < 200; i++) {
		char path[40], text[256] = "";
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		fd = open(path, O_RDONLY);
		if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || strstr(text, ") Z "))
			i = 1000;
		if (fd >= 0)
			close(fd);
		if (i == 1000)
			return;
		usleep(10000);
	}
	fail_msg("process %d is still there", pid);
}

static void test_what_it_left_behind_is_killed(void **state)
{
	(void)state;
	/* It holds the pipes, too: its end is not waited for. */
	run("sleep 60 & echo $!; exit 1", 5000);
	assert_int_equal(result.code, 1);
	assert_false(result.timed_out);
	assert_true(result.milliseconds < 4000);
	assert_gone(atoi(result.out.text));
}

static void test_one_that_is_cancelled_is_killed_and_says_nothing(void **state)
{
	char *const argv[] = {"sleep", "60", NULL};
	struct command *command = start_words(argv, 60000);
	char path[64];
	pid_t pid = 0;
	FILE *children;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "r");
	assert_non_null(children);
	assert_int_equal(fscanf(children, "%d", &pid), 1);
	fclose(children);
	command_cancel(command);
	command_cancel(NULL);
	assert_int_equal(ended, 0);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_it_dies_with_us(void **state)
{
	int say[2], status;
	pid_t us, child = 0;

	(void)state;
	assert_int_equal(pipe(say), 0);
	us = fork();
	if (us == 0) {
		struct command *command = start("echo $$; exec sleep 60", 60000);
		char path[64];
		FILE *children;

		(void)command;
		snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
		children = fopen(path, "r");
		if (!children || fscanf(children, "%d", &child) != 1 || write(say[1], &child, sizeof(child)) < 0)
			_exit(1);
		pause();
	}
	assert_int_equal(read(say[0], &child, sizeof(child)), sizeof(child));
	kill(us, SIGKILL);
	waitpid(us, &status, 0);
	assert_gone(child);
	close(say[0]);
	close(say[1]);
}

static void test_what_cannot_be_run_is_said_at_once(void **state)
{
	static const struct {
		char *word;
		int code;
		const char *sentence;
	} cases[] = {
		{"no-such-command", -ENOENT, "no-such-command: cannot be run: No such file or directory"},
		{"/etc/passwd", -EACCES, "/etc/passwd: cannot be run: Permission denied"},
		{"/etc", -EACCES, "/etc: cannot be run: Permission denied"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *const argv[] = {cases[i].word, NULL};
		struct command *command = NULL;
		struct error error = {};

		assert_int_equal(command_start(argv, NULL, 1000, note, NULL, &command, &error), cases[i].code);
		assert_string_equal(error.text, cases[i].sentence);
		assert_null(command);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *script;
		enum answer_verdict verdict;
		const char *reason;
	} cases[] = {
		{"exit 0", ANSWER_PASS, "the command ended with code 0"},
		{"echo; echo fine; echo more", ANSWER_PASS, "fine"},
		{"echo too slow >&2; exit 1", ANSWER_FAIL, "too slow"},
		{"echo out; echo err >&2; exit 1", ANSWER_FAIL, "out"},
		{"exit 2", ANSWER_INCONCLUSIVE, "the command ended with code 2"},
		{"exit 127", ANSWER_INCONCLUSIVE, "the command ended with code 127"},
		{"kill -KILL $$", ANSWER_INCONCLUSIVE, "signal 9 ended the command"},
		{"echo hello; sleep 9", ANSWER_INCONCLUSIVE, "the command did not end in time"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer answer;

		run(cases[i].script, 500);
		command_answer(&result, &answer);
		assert_int_equal(answer.verdict, cases[i].verdict);
		assert_string_equal(answer.reason, cases[i].reason);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_wrote_and_how_it_ended_is_kept),
		cmocka_unit_test(test_words_are_taken_as_they_are),
		cmocka_unit_test(test_its_surroundings_are_known),
		cmocka_unit_test(test_output_without_end_is_bounded),
		cmocka_unit_test(test_one_that_takes_too_long_is_ended),
		cmocka_unit_test(test_what_it_left_behind_is_killed),
		cmocka_unit_test(test_one_that_is_cancelled_is_killed_and_says_nothing),
		cmocka_unit_test(test_it_dies_with_us),
		cmocka_unit_test(test_what_cannot_be_run_is_said_at_once),
		cmocka_unit_test(test_verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
