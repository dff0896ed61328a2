/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "lib_packet.h"
#include "lib_shown.h"

#define PIN_DIR "/sys/fs/bpf/canary-test-%d"
#define KEY_FILE "/tmp/canary-test-%d.keys"

struct env env;

void run_command(const char *words)
{
	char copy[256], *argv[32], *rest = copy;
	int count = 0, status = -1;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", words);
	while (count < 31 && (argv[count] = strsep(&rest, " ")))
		count++;
	argv[count] = NULL;
	pid = fork();
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail_msg("failed: %s", words);
}

static void add_neighbours(FILE *batch, const char *device, const char *v4, const char *v6)
{
	static const int hosts[] = {11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26, 254};
	char addr[64];
	__u8 mac[6];

	for (size_t i = 0; i < 2 * sizeof(hosts) / sizeof(*hosts); i++) {
		int host = hosts[i / 2];

		if (i % 2)
			snprintf(addr, sizeof(addr), host == 254 ? "%sfe" : "%s%d", v6, host);
		else
			snprintf(addr, sizeof(addr), "%s%d", v4, host);
		mac_parse(addr, mac);
		fprintf(batch, "neighbour replace %s dev %s nud permanent lladdr %02x:%02x:%02x:%02x:%02x:%02x\n", addr,
			device, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	}
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_msg("cannot write %s: %s", path, strerror(errno));
	close(fd);
}

static void make_network(void)
{
	char path[64], command[96];
	FILE *batch;

	snprintf(path, sizeof(path), "/tmp/canary-test-%d", getpid());
	batch = fopen(path, "we");
	assert_non_null(batch);
	fputs("link set lo up\n"
	      "link add front address 02:00:00:00:00:01 mtu 3400 type veth peer name front-peer mtu 3400\n"
	      "link add back address 02:00:00:00:00:02 mtu 1500 type veth peer name back-peer\n"
	      "link set front up\nlink set back up\n"
	      "address add 192.0.2.1/24 dev front\naddress add 10.0.0.1/24 dev back\n"
	      "address add 2001:db8:2::1/64 dev front nodad\naddress add 2001:db8:10::1/64 dev back nodad\n"
	      "route add default via 192.0.2.254 dev front\nroute add default via 2001:db8:2::fe dev front\n"
	      "route add 10.9.0.0/24 via 10.0.0.254 dev back\nroute add 2001:db8:9::/64 via 2001:db8:10::fe dev back\n"
	      "route add unreachable 100.64.0.0/24\nroute add unreachable 2001:db8:dead::/64\n",
	      batch);
	add_neighbours(batch, "front", "192.0.2.", "2001:db8:2::");
	add_neighbours(batch, "back", "10.0.0.", "2001:db8:10::");
	fclose(batch);
	snprintf(command, sizeof(command), "ip -batch %s", path);
	run_command(command);
	unlink(path);
	/* Not a packet but those of the tests may come in. */
	write_file("/proc/sys/net/ipv6/conf/front-peer/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/back-peer/disable_ipv6", "1");
	run_command("ip link set front-peer up");
	run_command("ip link set back-peer up");
	write_file("/proc/sys/net/ipv4/ip_forward", "1");
	write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1");
}

static void attach(enum side side, const char *name)
{
	struct interface *interface = &env.interfaces[side];
	struct error error;
	struct stat netns;
	bool already;

	assert_int_equal(stat("/proc/self/ns/net", &netns), 0);
	*interface = (struct interface){.ifindex = if_nametoindex(name)};
	interface->netns = netns.st_ino;
	snprintf(interface->name, sizeof(interface->name), "%s", name);
	mac_parse(name, interface->mac);
	if (dataplane_attach(env.dataplane, interface, ATTACH_NATIVE, &already, &error))
		fail_msg("%s", error.text);
}

void set_partial_checksums(enum side side, bool partial)
{
	struct interface *interface = &env.interfaces[side];
	struct error error;
	bool already;

	interface->partial_checksums = partial;
	assert_int_equal(dataplane_attach(env.dataplane, interface, ATTACH_NATIVE, &already, &error), 0);
	assert_true(already);
}

int open_pin(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", env.dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		fail_msg("no pin %s: %s", path, strerror(errno));
	return fd;
}

void read_tables(size_t offset, void *ret, size_t size)
{
	int fd = open_pin("tables");
	const char *tables = mmap(NULL, sizeof(struct canary_tables), PROT_READ, MAP_SHARED, fd, 0);

	assert_true(tables != MAP_FAILED);
	memcpy(ret, tables + offset, size);
	munmap((void *)tables, sizeof(struct canary_tables));
	close(fd);
}

unsigned map_count(const char *name, size_t key_size)
{
	__u8 key[64], next[64];
	void *from = NULL;
	unsigned count = 0;
	int fd = open_pin(name);

	while (!bpf_map_get_next_key(fd, from, next)) {
		memcpy(key, next, key_size);
		from = key;
		count++;
	}
	close(fd);
	return count;
}

void each_flow(void (*call)(int map, const struct canary_flow_key *key, void *arg), void *arg)
{
	struct canary_flow_key key, next;
	int outer = open_pin("flows");

	for (__u32 shard = 0; shard < CANARY_FLOW_SHARDS; shard++) {
		__u32 id;
		int map;

		assert_int_equal(bpf_map_lookup_elem(outer, &shard, &id), 0);
		map = bpf_map_get_fd_by_id(id);
		assert_true(map >= 0);
		for (bool more = !bpf_map_get_next_key(map, NULL, &next); more;) {
			key = next;
			more = !bpf_map_get_next_key(map, &key, &next);
			call(map, &key, arg);
		}
		close(map);
	}
	close(outer);
}

static void count_one(int map, const struct canary_flow_key *key, void *arg)
{
	(void)map, (void)key;
	++*(unsigned *)arg;
}

unsigned established_flows(void)
{
	unsigned count = 0;

	each_flow(count_one, &count);
	return count;
}

unsigned opening_flows(void)
{
	return map_count("embryonic", sizeof(struct canary_flow_key));
}

unsigned ways_back(void)
{
	return map_count("reverse", sizeof(struct canary_reverse_key)) +
	       map_count("reverse_embryonic", sizeof(struct canary_reverse_key));
}

static void open_dataplane(void)
{
	struct error error;

	if (dataplane_open(env.dir, DATAPLANE_CREATE, &env.dataplane, &error))
		fail_msg("%s", error.text);
	attach(FRONT, "front");
	attach(BACK, "back");
	env.program = open_pin("canary_xdp");
}

static void close_dataplane(void)
{
	struct error error;

	configure(NULL, 0);
	for (int side = 0; side < SIDES; side++)
		if (dataplane_detach(env.dataplane, &env.interfaces[side], &error))
			fail_msg("%s", error.text);
	close(env.program);
	dataplane_close(env.dataplane);
	env.dataplane = NULL;
}

void env_upgrade(void)
{
	struct error error;

	dataplane_close(env.dataplane);
	if (dataplane_open(env.dir, DATAPLANE_UPGRADE, &env.dataplane, &error))
		fail_msg("%s", error.text);
	if (dataplane_upgrade(env.dataplane, &error))
		fail_msg("%s", error.text);
	dataplane_close(env.dataplane);
	if (dataplane_open(env.dir, DATAPLANE_CHANGE, &env.dataplane, &error))
		fail_msg("%s", error.text);
	close(env.program);
	env.program = open_pin("canary_xdp");
	env_refresh();
}

/* Entries that were removed by hand would still be counted, and have their bits: a data plane is made anew. */
int env_fresh(void **state)
{
	if (state)
		shown_begin(*state);
	if (env.dataplane)
		close_dataplane();
	open_dataplane();
	env_refresh();
	return 0;
}

/* The same keys in every run: shares are random, and one in 370 fair ones is more than 3 standard errors off. */
static void write_keys(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	dprintf(fd, "canary-keys 1 ");
	for (unsigned i = 0; i < sizeof(struct canary_keys); i++)
		dprintf(fd, "%02x", i * 151 % 251);
	dprintf(fd, "\n");
	close(fd);
}

static int set_up(void **state)
{
	static char keys[80];

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	make_network();
	snprintf(env.dir, sizeof(env.dir), PIN_DIR, getpid());
	snprintf(keys, sizeof(keys), KEY_FILE, getpid());
	write_keys(keys);
	dataplane_use_key_file(keys);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (env.dataplane)
		close_dataplane();
	model_free(&env.model);
	return 0;
}

static void remove_pins(const char *path)
{
	DIR *entries = opendir(path);
	struct dirent *entry;

	while (entries && (entry = readdir(entries)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(entries), entry->d_name, 0);
	if (entries)
		closedir(entries);
	rmdir(path);
}

static void skip_test(void **state)
{
	(void)state;
	skip();
}

static volatile sig_atomic_t child;

static void end_child(int signal)
{
	if (child)
		kill(child, signal);
}

struct group {
	const char *name;
	const struct CMUnitTest *tests;
	size_t count;
};

static int run_group(void *arg)
{
	const struct group *group = arg;
	struct CMUnitTest *copy = calloc(group->count, sizeof(*copy));
	bool root = !geteuid();
	int failed;

	if (!copy)
		return 1;
	memcpy(copy, group->tests, group->count * sizeof(*copy));
	for (size_t i = 0; !root && i < group->count; i++) {
		copy[i].test_func = skip_test;
		copy[i].setup_func = NULL;
	}
	failed =
		_cmocka_run_group_tests(group->name, copy, group->count, root ? set_up : NULL, root ? tear_down : NULL);
	free(copy);
	return failed;
}

/* Runs it in a child, and removes what that leaves. */
static int run_and_tidy(const char *name, int (*run)(void *arg), void *arg)
{
	struct sigaction action = {.sa_handler = end_child};
	int status = 1;
	char dir[64];

	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(run(arg) != 0);
	}
	if (child < 0)
		return 1;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	snprintf(dir, sizeof(dir), PIN_DIR, (int)child);
	remove_pins(dir);
	snprintf(dir, sizeof(dir), PIN_DIR "-2", (int)child);
	remove_pins(dir);
	snprintf(dir, sizeof(dir), KEY_FILE, (int)child);
	unlink(dir);
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s ended with signal %d\n", name, WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int env_main(const char *name, const struct CMUnitTest *tests, size_t count)
{
	struct group group = {name, tests, count};

	return run_and_tidy(name, run_group, &group);
}

struct body {
	int (*run)(void *arg);
	void *arg;
};

static int run_body(void *arg)
{
	const struct body *body = arg;
	int result;

	/* Outside a test, cmocka would end the process without the assertion's text. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	set_up(NULL);
	result = body->run(body->arg);
	tear_down(NULL);
	return result;
}

int env_run(const char *name, int (*run)(void *arg), void *arg)
{
	struct body body = {run, arg};

	return run_and_tidy(name, run_body, &body);
}
