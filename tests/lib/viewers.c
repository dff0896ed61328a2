/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Viewers of a streaming service, for the demo: each visit is a connection over which the viewer gets the catalogue and
 * plays some of its titles.
 *
 *   viewers -r VISITS ADDRESS[/COUNT] ADDRESS PORT
 *
 * VISITS a second come from COUNT source addresses in turn. The catalogue is {"titles": ["…"], "recommendations": ["…"]}
 * (the latter may be missing). A viewer plays one to three titles, and each recommended one, with a probability of a half,
 * if the catalogue has it; a recommendation that it has not makes for an unhappy viewer, with the same probability. So does
 * a service that breaks down. One viewer in 25 says so: "ADDRESS:PORT good" or "… bad", a line on standard output.
 *
 * Until SIGTERM; then "VIEWERS visits N failed N" on standard error. A visit has failed if the catalogue did not come.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "endpoints.h"

enum { THREADS = 8, ANSWER_MAX = 4096, SAYS_SO = 25, TITLES_MAX = 3 };

static struct sources sources = {.addresses = 1};
static struct sockaddr_storage target;
static socklen_t target_len;
static unsigned rate = 100;
static volatile sig_atomic_t stopped;
static uint64_t visits, failures; /* atomic */

/* What one viewer has seen. */
struct visit {
	int fd;
	struct sockaddr_storage source;
	char answer[ANSWER_MAX];
	bool unhappy;
	unsigned seed;
};

static bool chance(struct visit *visit, unsigned one_in)
{
	return rand_r(&visit->seed) % one_in == 0;
}

static int connect_from(struct visit *visit, uint64_t number)
{
	const struct timeval patience = {.tv_sec = 3};
	struct sockaddr_in *in = (void *)&visit->source;
	socklen_t len = sizeof(visit->source);

	visit->source = sources.first;
	in->sin_addr.s_addr = htonl(ntohl(in->sin_addr.s_addr) + number % sources.addresses);
	visit->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (visit->fd < 0)
		err(1, "socket");
	setsockopt(visit->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	setsockopt(visit->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(visit->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (bind(visit->fd, (struct sockaddr *)&visit->source, sizeof(*in)) ||
	    connect(visit->fd, (struct sockaddr *)&target, target_len) ||
	    getsockname(visit->fd, (struct sockaddr *)&visit->source, &len))
		return -1;
	return 0;
}

/* Is the whole answer there? It has a Content-Length, and no other body. */
static bool is_whole(const char *answer, size_t len)
{
	const char *end = strstr(answer, "\r\n\r\n"), *field = strcasestr(answer, "\r\nContent-Length:");

	return end && field && len >= (size_t)(end + 4 - answer) + strtoul(field + 17, NULL, 10);
}

/* 0 with the answer, or -1: it did not come, or was not a good one. */
static int get(struct visit *visit, const char *path)
{
	size_t len = 0;
	char request[128];
	int size = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: stream.example\r\n\r\n", path);

	if (send(visit->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
		return -1;
	visit->answer[0] = '\0';
	while (!is_whole(visit->answer, len)) {
		ssize_t more = recv(visit->fd, visit->answer + len, sizeof(visit->answer) - len - 1, 0);

		if (more <= 0)
			return -1;
		len += (size_t)more;
		visit->answer[len] = '\0';
	}
	return strncmp(visit->answer, "HTTP/1.1 200 ", 13) ? -1 : 0;
}

/* The next text in quotes before `end`, after *at, which moves on. */
static bool next_title(char **at, const char *end, char ret[64])
{
	char *from = strchr(*at, '"'), *to = from ? strchr(from + 1, '"') : NULL;

	if (!to || to > end)
		return false;
	snprintf(ret, 64, "%.*s", (int)(to - from - 1), from + 1);
	*at = to + 1;
	return true;
}

/* How many titles this viewer plays of a catalogue. */
static unsigned choose(struct visit *visit)
{
	char *titles = strstr(visit->answer, "\"titles\":"), *at = strstr(visit->answer, "\"recommendations\":");
	char *end = at ? strchr(at, ']') : NULL, title[64], quoted[70];
	unsigned plays = 1 + rand_r(&visit->seed) % TITLES_MAX;

	if (!titles || !end)
		return plays;
	for (at = strchr(at, '['); at && next_title(&at, end, title);) {
		const char *known;

		snprintf(quoted, sizeof(quoted), "\"%s\"", title);
		known = strstr(titles, quoted);
		if (known && known < strchr(titles, ']'))
			plays += chance(visit, 2);
		else
			visit->unhappy |= chance(visit, 2);
	}
	return plays;
}

static void say(const struct visit *visit)
{
	const struct sockaddr_in *in = (const void *)&visit->source;
	char line[64], address[INET_ADDRSTRLEN];
	int len;

	inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address));
	len = snprintf(line, sizeof(line), "%s:%u %s\n", address, ntohs(in->sin_port), visit->unhappy ? "bad" : "good");
	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		stopped = 1;
}

static void one_visit(uint64_t number)
{
	struct visit visit = {.seed = (unsigned)number * 2654435761U};
	bool fine = !connect_from(&visit, number) && !get(&visit, "/catalogue");

	for (unsigned plays = fine ? choose(&visit) : 0; plays; plays--)
		visit.unhappy |= get(&visit, "/play") != 0;
	visit.unhappy |= !fine;
	__atomic_add_fetch(&failures, !fine, __ATOMIC_RELAXED);
	if (fine && chance(&visit, SAYS_SO))
		say(&visit);
	close(visit.fd);
}

/* Keeps to the rate: visit I is due I / rate seconds after the start. */
static void *view(void *arg)
{
	const struct timespec *start = arg;

	while (!stopped) {
		uint64_t number = __atomic_fetch_add(&visits, 1, __ATOMIC_RELAXED);
		uint64_t ns = (uint64_t)start->tv_nsec + number * 1000000000ULL / rate;
		struct timespec due = {start->tv_sec + (time_t)(ns / 1000000000), (long)(ns % 1000000000)};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		one_visit(number);
	}
	return NULL;
}

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	struct timespec start;
	char *rest;
	int option;

	while ((option = getopt(argc, argv, "r:")) != -1) {
		if (option != 'r')
			return 2;
		rate = parse_number(optarg, &rest);
	}
	if (argc - optind != 3 || !rate)
		errx(2, "usage: viewers -r VISITS ADDRESS[/COUNT] ADDRESS PORT");
	parse_source_addresses(argv[optind], &sources);
	target_len = parse_endpoint(argv[optind + 1], argv[optind + 2], &target);
	if (target.ss_family != AF_INET || sources.first.ss_family != AF_INET)
		errx(2, "IPv4 only");
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, view, &start))
			err(1, "pthread_create");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	fprintf(stderr, "VIEWERS visits %llu failed %llu\n", (unsigned long long)visits, (unsigned long long)failures);
	return 0;
}
