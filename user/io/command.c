/* SPDX-License-Identifier: Apache-2.0 */
#include "io/command.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/descriptors.h"
#include "io/watch.h"

#define READS_AT_ONCE 32 /* of a command that writes without end, before others have their turn */
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct stream {
	int fd;
	struct command_output *output;
};

struct command {
	struct watch watch;
	pid_t pid; /* and its process group */
	int pidfd;
	struct stream out, err;
	__s64 started;
	struct command_result result;
	command_done *done;
	void *arg;
};

/* The ends of the pipes to a child; [0] is ours. */
struct pipes {
	int out[2], err[2], failure[2];
};

static void close_pipe(int ends[2])
{
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

static void close_pipes(struct pipes *pipes)
{
	close_pipe(pipes->out);
	close_pipe(pipes->err);
	close_pipe(pipes->failure);
}

static int open_pipes(struct pipes *ret)
{
	struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};

	/* Ours do not block; the child's are made so that they do, as programs expect. */
	if (pipe2(pipes.out, O_CLOEXEC) || pipe2(pipes.err, O_CLOEXEC) || pipe2(pipes.failure, O_CLOEXEC) ||
	    fcntl(pipes.out[0], F_SETFL, O_NONBLOCK) || fcntl(pipes.err[0], F_SETFL, O_NONBLOCK)) {
		int code = -errno;

		close_pipes(&pipes);
		return code;
	}
	*ret = pipes;
	return 0;
}

/* In the child, of a process with threads perhaps: calls that are safe in a signal handler, and no return. */
static void become(char *const *argv, char *const *environment, const struct pipes *pipes, pid_t parent)
{
	int null = open("/dev/null", O_RDWR), failure = 3, code;
	sigset_t none;

	setpgid(0, 0);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	descriptors_restore();
	if (getppid() != parent || null < 0 || chdir("/"))
		_exit(127);
	/* All above 2 already, as 0 to 2 are open in a daemon; and what is moved to 3 is moved last. */
	if (dup2(null, 0) == 0 && dup2(pipes->out[1], 1) == 1 && dup2(pipes->err[1], 2) == 2 &&
	    dup3(pipes->failure[1], failure, O_CLOEXEC) == failure && !close_range(failure + 1, ~0U, 0))
		execvpe(argv[0], argv, environment);
	code = errno;
	_exit(write(failure, &code, sizeof(code)) == sizeof(code) ? 127 : 126);
}

static size_t count_words(char *const *words)
{
	size_t count = 0;

	while (words && words[count])
		count++;
	return count;
}

/* 0 or -errno. */
static int spawn(char *const *argv, char *const *given, const struct pipes *pipes, pid_t *ret_pid)
{
	size_t count = count_words(given);
	char **environment = calloc(count + 2, sizeof(*environment));
	pid_t parent = getpid(), pid;

	if (!environment)
		return -ENOMEM;
	environment[0] = (char *)PATH;
	for (size_t i = 0; i < count; i++)
		environment[i + 1] = given[i];
	pid = fork();
	if (pid == 0)
		become(argv, environment, pipes, parent);
	free(environment);
	if (pid < 0)
		return -errno;
	/* In both processes: whoever comes first, the group is there. */
	setpgid(pid, pid);
	*ret_pid = pid;
	return 0;
}

/* 0, or what execve() said in the child; the pipe closes with nothing in it when it has worked. */
static int await_exec(struct pipes *pipes, pid_t pid)
{
	int code = 0;
	ssize_t len;

	close(pipes->failure[1]);
	pipes->failure[1] = -1;
	do
		len = read(pipes->failure[0], &code, sizeof(code));
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return 0;
	waitpid(pid, NULL, 0);
	return -code;
}

static void close_stream(struct command *command, struct stream *stream)
{
	if (stream->fd < 0)
		return;
	watch_remove(&command->watch, stream->fd);
	close(stream->fd);
	stream->fd = -1;
}

static void command_free(struct command *command)
{
	close_stream(command, &command->out);
	close_stream(command, &command->err);
	if (command->pidfd >= 0)
		close(command->pidfd);
	watch_close(&command->watch);
	free(command);
}

void command_cancel(struct command *command)
{
	struct pollfd ended;

	if (!command)
		return;
	kill(-command->pid, SIGKILL);
	/* It ends at once, unless it hangs in the kernel: then it is not waited for. */
	ended = (struct pollfd){.fd = command->pidfd, .events = POLLIN};
	poll(&ended, 1, 1000);
	waitpid(command->pid, NULL, WNOHANG);
	command_free(command);
}

static int watch_all(struct command *command)
{
	int error = watch_open(&command->watch);

	if (!error) {
		command->pidfd = pidfd_open(command->pid, 0);
		error = command->pidfd < 0 ? -errno : 0;
	}
	if (!error)
		error = watch_add(&command->watch, command->pidfd, EPOLLIN, command);
	if (!error)
		error = watch_add(&command->watch, command->out.fd, EPOLLIN, &command->out);
	if (!error)
		error = watch_add(&command->watch, command->err.fd, EPOLLIN, &command->err);
	return error;
}

int command_start(char *const *argv, char *const *environment, unsigned timeout, command_done *done, void *arg,
		  struct command **ret, struct error *error)
{
	struct command *command = calloc(1, sizeof(*command));
	struct pipes pipes;
	int code = command ? open_pipes(&pipes) : -ENOMEM;

	if (code) {
		free(command);
		return fail(error, code, "%s: cannot be run: %s", argv[0], strerror(-code));
	}
	code = spawn(argv, environment, &pipes, &command->pid);
	if (!code)
		code = await_exec(&pipes, command->pid);
	if (code) {
		close_pipes(&pipes);
		free(command);
		return fail(error, code, "%s: cannot be run: %s", argv[0], strerror(-code));
	}
	command->watch = (struct watch)WATCH_CLOSED;
	command->pidfd = -1;
	command->out = (struct stream){pipes.out[0], &command->result.out};
	command->err = (struct stream){pipes.err[0], &command->result.err};
	command->started = clock_ms();
	command->done = done;
	command->arg = arg;
	pipes.out[0] = pipes.err[0] = -1;
	close_pipes(&pipes);
	code = watch_all(command);
	if (code) {
		command_cancel(command);
		return fail(error, code, "%s: cannot be watched: %s", argv[0], strerror(-code));
	}
	watch_arm(&command->watch, timeout);
	*ret = command;
	return 0;
}

int command_fd(const struct command *command)
{
	return command->watch.epoll;
}

/* What is not kept is read all the same: the command must not hang because nobody reads. */
static void read_stream(struct command *command, struct stream *stream)
{
	struct command_output *output = stream->output;
	char bytes[4096];

	for (int i = 0; i < READS_AT_ONCE && stream->fd >= 0; i++) {
		ssize_t len = read(stream->fd, bytes, sizeof(bytes));
		size_t kept;

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len <= 0) {
			close_stream(command, stream);
			return;
		}
		kept = COMMAND_OUTPUT_MAX - output->len;
		kept = kept < (size_t)len ? kept : (size_t)len;
		memcpy(output->text + output->len, bytes, kept);
		output->len += kept;
		output->dropped += (size_t)len - kept;
	}
}

static void end_of_time(struct command *command)
{
	kill(-command->pid, command->result.timed_out ? SIGKILL : SIGTERM);
	if (!command->result.timed_out)
		watch_arm(&command->watch, COMMAND_GRACE);
	command->result.timed_out = true;
}

static void finish(struct command *command)
{
	struct command_result *result = &command->result;
	siginfo_t how = {};

	/* Before it is reaped: as long as it is a zombie its number is nobody else's. */
	kill(-command->pid, SIGKILL);
	read_stream(command, &command->out);
	read_stream(command, &command->err);
	if (waitid(P_PIDFD, command->pidfd, &how, WEXITED) || how.si_code != CLD_EXITED) {
		result->code = -1;
		result->signal = how.si_status;
	} else {
		result->code = how.si_status;
	}
	result->milliseconds = (unsigned)(clock_ms() - command->started);
	clean_text(result->out.text, result->out.len);
	clean_text(result->err.text, result->err.len);
	command->done(result, command->arg);
	command_free(command);
}

void command_run(struct command *command)
{
	struct epoll_event events[3];
	bool rang, ended = false;
	int count = watch_ready(&command->watch, events, 3, &rang);

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == command)
			ended = true;
		else
			read_stream(command, events[i].data.ptr);
	}
	if (rang)
		end_of_time(command);
	if (ended)
		finish(command);
}

void command_answer(const struct command_result *result, struct answer *ret)
{
	ret->verdict = ANSWER_INCONCLUSIVE;
	first_line(result->out.text, result->out.len, ret->reason);
	if (!ret->reason[0])
		first_line(result->err.text, result->err.len, ret->reason);
	if (result->timed_out) {
		snprintf(ret->reason, sizeof(ret->reason), "the command did not end in time");
		return;
	}
	if (result->code == 0 || result->code == 1)
		ret->verdict = result->code == 0 ? ANSWER_PASS : ANSWER_FAIL;
	if (ret->reason[0])
		return;
	if (result->code < 0)
		snprintf(ret->reason, sizeof(ret->reason), "signal %d ended the command", result->signal);
	else
		snprintf(ret->reason, sizeof(ret->reason), "the command ended with code %d", result->code);
}
