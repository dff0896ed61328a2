/* SPDX-License-Identifier: Apache-2.0 */
/* Before cmocka.h, which makes fail() a macro. */
#include "lib_etcd.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/watch.h"

char etcd_directory[64];
static struct test_member members[MEMBERS_MAX + 1];

int etcd_set_up(void **state)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	(void)state;
	strcpy(etcd_directory, "/tmp/test_etcd.XXXXXX");
	if (!mkdtemp(etcd_directory) || unshare(CLONE_NEWNET)) {
		perror("a directory and a network namespace of our own (as root)");
		return -1;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		return -1;
	close(fd);
	return 0;
}

int etcd_tear_down(void **state)
{
	(void)state;
	for (int i = 1; i <= MEMBERS_MAX; i++)
		member_kill(i);
	run("rm -rf %s", etcd_directory);
	return 0;
}

int port_of(int number)
{
	return 2379 + 10 * (number - 1);
}

int member_of(const char *url)
{
	return (atoi(strrchr(url, ':') + 1) - 2379) / 10 + 1;
}

void run(const char *format, ...)
{
	char command[4096];
	va_list args;
	int len = snprintf(command, sizeof(command), "cd %s && ", etcd_directory);

	va_start(args, format);
	len += vsnprintf(command + len, sizeof(command) - (size_t)len, format, args);
	va_end(args);
	assert_true(len < (int)sizeof(command));
	if (system(command))
		fail_msg("failed: %s", command);
}

static void become(const struct test_member *member)
{
	char *words[64] = {"etcd"}, text[sizeof(member->arguments)], log[128], *rest = text;
	int fd;

	snprintf(text, sizeof(text), "%s", member->arguments);
	for (size_t i = 1; i < 63; i++)
		words[i] = strtok_r(i == 1 ? text : NULL, " ", &rest);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof(log), "%s/log%d", etcd_directory, member->number);
	fd = open(log, O_CREAT | O_WRONLY | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execvp(words[0], words);
	_exit(127);
}

void member_start(int number)
{
	struct test_member *member = &members[number];

	member->pid = fork();
	if (!member->pid)
		become(member);
	assert_true(member->pid > 0);
}

void member_signal(int number, int signal)
{
	assert_int_equal(kill(members[number].pid, signal), 0);
	/* Its threads stop one after the other. */
	if (signal == SIGSTOP)
		assert_int_equal(waitpid(members[number].pid, NULL, WUNTRACED), members[number].pid);
}

void member_kill(int number)
{
	if (!members[number].pid)
		return;
	member_signal(number, SIGKILL);
	waitpid(members[number].pid, NULL, 0);
	members[number].pid = 0;
}

void member_revive(int number)
{
	if (members[number].pid)
		member_signal(number, SIGCONT);
	else
		member_start(number);
}

void cluster_start(int first, int last, const char *scheme, const char *more)
{
	char cluster[512] = "";
	size_t len = 0;

	for (int i = first; i <= last; i++)
		len += (size_t)snprintf(cluster + len, sizeof(cluster) - len, "%sm%d=http://127.0.0.1:%d",
					i > first ? "," : "", i, port_of(i) + 1);
	for (int i = first; i <= last; i++) {
		struct test_member *member = &members[i];
		int port = port_of(i);

		member->number = i;
		snprintf(member->arguments, sizeof(member->arguments),
			 "--name m%d --data-dir %s/m%d --logger zap --heartbeat-interval 50 --election-timeout 500 "
			 "--listen-client-urls %s://127.0.0.1:%d --advertise-client-urls %s://127.0.0.1:%d "
			 "--listen-peer-urls http://127.0.0.1:%d --initial-advertise-peer-urls http://127.0.0.1:%d "
			 "--initial-cluster %s --initial-cluster-token of%d%s%s",
			 i, etcd_directory, i, scheme, port, scheme, port, port + 1, port + 1, cluster, first,
			 *more ? " " : "", more);
		member_start(i);
	}
}

static void changed(bool connected, const char *sentence, void *arg)
{
	struct test_client *client = arg;
	size_t len = strlen(client->told);

	client->changes++;
	client->connected = connected;
	snprintf(client->told + len, sizeof(client->told) - len, "%s\n", sentence);
}

struct etcd_settings settings_of(const char *scheme, int first, int last)
{
	struct etcd_settings settings = {.endpoint_count = (size_t)(last - first + 1)};

	for (int i = first; i <= last; i++)
		snprintf(settings.endpoints[i - first], ETCD_URL_LEN, "%s://127.0.0.1:%d", scheme, port_of(i));
	return settings;
}

void client_open(struct test_client *client, const struct etcd_settings *settings, __u64 cluster)
{
	struct error error;

	*client = (struct test_client){};
	if (etcd_open(settings, cluster, changed, client, &client->etcd, &error))
		fail_msg("%s", error.text);
}

void client_close(struct test_client *client)
{
	etcd_close(client->etcd);
}

static void drive_once(struct test_client *client, int milliseconds)
{
	struct pollfd ready = {.fd = etcd_fd(client->etcd), .events = POLLIN};

	if (poll(&ready, 1, milliseconds) > 0)
		etcd_run(client->etcd);
}

long drive_until(struct test_client *client, const int *count, int wanted, int milliseconds)
{
	__s64 begun = clock_ms();

	while (*count < wanted && clock_ms() < begun + milliseconds)
		drive_once(client, 100);
	if (*count < wanted)
		fail_msg("%d of %d came within %d ms; told was\n%s", *count, wanted, milliseconds, client->told);
	return (long)(clock_ms() - begun);
}

void drive_for(struct test_client *client, int milliseconds)
{
	__s64 end = clock_ms() + milliseconds;

	while (clock_ms() < end)
		drive_once(client, (int)(end - clock_ms()));
}

void note(const struct etcd_result *result, void *arg)
{
	struct outcome *outcome = arg;

	outcome->count += !result->more;
	outcome->result = *result;
	snprintf(outcome->sentence, sizeof(outcome->sentence), "%s", result->sentence);
	if (!outcome->revision)
		outcome->revision = result->revision;
	outcome->mixed |= !result->error && outcome->revision != result->revision;
	for (size_t i = 0; i < result->count; i++) {
		const struct etcd_kv *kv = &result->kvs[i];

		assert_int_equal(kv->key[kv->key_len], '\0');
		assert_int_equal(kv->value[kv->value_len], '\0');
		outcome->disordered |= strcmp(kv->key, outcome->last) <= 0;
		snprintf(outcome->last, sizeof(outcome->last), "%s", kv->key);
		if (i < OUTCOME_KVS) {
			snprintf(outcome->keys_shown[i], sizeof(outcome->keys_shown[i]), "%s", kv->key);
			snprintf(outcome->values_shown[i], sizeof(outcome->values_shown[i]), "%s", kv->value);
		}
	}
	outcome->keys += result->count;
	if (result->count)
		outcome->mod_revision = result->kvs[0].mod_revision;
}

#define ASKED(call)                                                                                                    \
	struct outcome outcome = {};                                                                                   \
	struct error error = {};                                                                                       \
	if (call)                                                                                                      \
		fail_msg("%s", error.text);                                                                            \
	drive_until(client, &outcome.count, 1, 30000);                                                                 \
	return outcome

struct outcome ask_range(struct test_client *client, const struct etcd_range *range, unsigned timeout)
{
	ASKED(etcd_range(client->etcd, range, timeout, note, &outcome, NULL, &error));
}

struct outcome ask_get(struct test_client *client, const char *key)
{
	return ask_range(client, &(struct etcd_range){.key = key}, 20000);
}

struct outcome ask_put(struct test_client *client, const char *key, const char *value)
{
	ASKED(etcd_put(client->etcd, key, value, 0, 20000, note, &outcome, NULL, &error));
}

struct outcome ask_txn(struct test_client *client, const struct etcd_txn *txn)
{
	ASKED(etcd_txn(client->etcd, txn, 20000, note, &outcome, NULL, &error));
}

void assert_code(struct outcome outcome, int error, const char *sentence)
{
	if (outcome.result.error != error || !strstr(outcome.sentence, sentence))
		fail_msg("%d: %s\nand should be %d: %s", outcome.result.error, outcome.sentence, error, sentence);
}

static void note_events(const struct etcd_event *events, size_t count, __s64 revision, void *arg)
{
	struct test_watch *watch = arg;

	for (size_t i = 0; i < count; i++) {
		const struct etcd_kv *kv = &events[i].kv;
		size_t len = strlen(watch->text);

		watch->disordered |= kv->mod_revision <= watch->revision || kv->mod_revision > revision;
		snprintf(watch->text + len, sizeof(watch->text) - len, "%lld %s%s%s\n", kv->mod_revision, kv->key,
			 events[i].deleted ? "-" : "=", kv->value);
	}
	watch->events += (int)count;
	watch->disordered |= revision <= watch->revision;
	watch->revision = revision;
}

static void note_lost(int error, const char *sentence, void *arg)
{
	struct test_watch *watch = arg;

	watch->lost++;
	watch->error = error;
	snprintf(watch->sentence, sizeof(watch->sentence), "%s", sentence);
}

void watch_begin(struct test_client *client, struct test_watch *watch, const char *prefix, __s64 revision)
{
	static const struct etcd_watcher watcher = {note_events, note_lost};
	struct error error;

	*watch = (struct test_watch){};
	if (etcd_watch(client->etcd, prefix, revision, &watcher, watch, &watch->watch, &error))
		fail_msg("%s", error.text);
}
