/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_netns.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

int netns_here = -1, netns_there = -1;

void netns_needed(void)
{
	if (geteuid())
		skip();
}

void netns_run(int netns, const char *words, ...)
{
	char text[256], copy[256], *argv[32], *rest = copy;
	int count = 0, status = -1;
	va_list args;
	pid_t pid;

	va_start(args, words);
	vsnprintf(text, sizeof(text), words, args);
	va_end(args);
	strcpy(copy, text);
	while (count < 31 && (argv[count] = strsep(&rest, " ")))
		count++;
	argv[count] = NULL;
	pid = fork();
	if (pid == 0) {
		if (setns(netns, CLONE_NEWNET) == 0)
			execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail_msg("failed: %s", text);
}

static int own_namespace(void)
{
	if (unshare(CLONE_NEWNET))
		return -1;
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int netns_set_up(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	netns_there = own_namespace();
	netns_here = own_namespace();
	if (netns_there < 0 || netns_here < 0)
		return -1;
	netns_run(netns_here, "ip link add v0 address 02:00:00:00:00:01 mtu 1400 type veth peer name v1");
	netns_run(netns_here, "ip link set v1 netns /proc/%d/fd/%d", getpid(), netns_there);
	netns_run(netns_here, "ip address add 10.1.0.1/24 dev v0");
	netns_run(netns_here, "ip address add 10.1.0.3/24 dev v0");
	netns_run(netns_here, "ip address add 2001:db8:1::1/64 dev v0 nodad");
	netns_run(netns_here, "ip link set lo up");
	netns_run(netns_here, "ip link set v0 up");
	netns_run(netns_there, "ip address add 10.1.0.2/24 dev v1");
	netns_run(netns_there, "ip address add 2001:db8:1::2/64 dev v1 nodad");
	netns_run(netns_there, "ip link set v1 address 02:00:00:00:00:02 up");
	return 0;
}

int netns_tear_down(void **state)
{
	(void)state;
	if (netns_here >= 0)
		close(netns_here);
	if (netns_there >= 0)
		close(netns_there);
	return 0;
}

double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec + (now.tv_nsec - start->tv_nsec) / 1e9;
}
