/* SPDX-License-Identifier: Apache-2.0 */
/* Real members of etcd, in a network namespace of the test's own, and a client of ours that is driven by hand. */
#ifndef LIB_ETCD_H
#define LIB_ETCD_H

#include <sys/types.h>

#include "io/etcd.h"

#define MEMBERS_MAX 4

struct test_member {
	int number; /* from 1: its ports are 2379 and 2380, 2389 and 2390, ... */
	pid_t pid; /* 0: it does not run */
	char arguments[1024]; /* separated by single blanks */
};

/* A group's set-up and tear-down: the namespace, and a directory that members and files are in. */
extern char etcd_directory[64];
int etcd_set_up(void **state);
int etcd_tear_down(void **state); /* ends what still runs */

/* Members first..last become a cluster. `scheme`: of its clients; `more`: arguments, "" for none. */
void cluster_start(int first, int last, const char *scheme, const char *more);
void member_start(int number); /* again, with its data */
void member_kill(int number);
void member_revive(int number); /* whatever became of it */
void member_signal(int number, int signal);
int member_of(const char *url); /* whose URL this is */

/* Runs a command by the shell, in the directory; the test fails if it does. */
__attribute__((format(printf, 1, 2))) void run(const char *format, ...);
/* etcdctl at a member that is there, as run(). */
#define CTL "etcdctl --command-timeout=20s --endpoints=http://127.0.0.1:%d "
int port_of(int number);

/* What is told of a client. */
struct test_client {
	struct etcd *etcd;
	int changes;
	bool connected;
	char told[8192]; /* all sentences, a line each */
};
struct etcd_settings settings_of(const char *scheme, int first, int last);
void client_open(struct test_client *client, const struct etcd_settings *settings, __u64 cluster);
void client_close(struct test_client *client);
/* Runs it until *count is at least `wanted`; the test fails if that takes longer. Milliseconds that it took. */
long drive_until(struct test_client *client, const int *count, int wanted, int milliseconds);
void drive_for(struct test_client *client, int milliseconds);

/* What came of a call, copied. */
#define OUTCOME_KVS 4
struct outcome {
	int count; /* of calls back */
	struct etcd_result result;
	char sentence[1024];
	size_t keys; /* of all pages */
	char last[64];
	bool disordered;
	__s64 revision; /* of the first page */
	bool mixed; /* pages are of several revisions */
	char keys_shown[OUTCOME_KVS][64], values_shown[OUTCOME_KVS][64];
	__s64 mod_revision; /* of the first key */
};
etcd_done note;

/* Each asks, and waits for the answer. */
struct outcome ask_range(struct test_client *client, const struct etcd_range *range, unsigned timeout);
struct outcome ask_get(struct test_client *client, const char *key);
struct outcome ask_put(struct test_client *client, const char *key, const char *value);
struct outcome ask_txn(struct test_client *client, const struct etcd_txn *txn);
#define assert_done(outcome) assert_code(outcome, 0, "")
void assert_code(struct outcome outcome, int error, const char *sentence);

/* What a watch told: of each event its revision, "R key=value" or "R key-" a line. */
struct test_watch {
	struct etcd_watch *watch;
	int events, lost;
	int error;
	__s64 revision; /* up to here all was told */
	char text[1 << 16], sentence[1024];
	bool disordered; /* a revision came in two calls, or after a later one */
};
void watch_begin(struct test_client *client, struct test_watch *watch, const char *prefix, __s64 revision);

#endif
