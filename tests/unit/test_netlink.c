/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against the real kernel, in network namespaces of our own that go when this process does: `here`, where the tests
 * run, and `there`, with the other end of a veth pair. Without root those tests are skipped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/netlink.h"
#include "io/netlink_talk.h"

static int here = -1, there = -1;
static struct netlink *netlink;

static int netns_fd(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* Runs a command, its words separated by single spaces, in a namespace; no shell. Its exit status. */
static int run(int netns, const char *words)
{
	char copy[256], *argv[32], *rest = copy;
	int count = 0, status;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", words);
	while ((argv[count] = strsep(&rest, " ")))
		count++;
	pid = fork();
	if (pid == 0) {
		if (setns(netns, CLONE_NEWNET) == 0)
			execvp(argv[0], argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void must(int netns, const char *words)
{
	if (run(netns, words))
		fail_msg("failed: %s", words);
}

static struct canary_addr addr(const char *text)
{
	struct canary_addr addr = {{0, 0, htonl(0xffff), 0}};

	if (inet_pton(AF_INET, text, &addr.word[3]) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return addr;
}

static void assert_addr(const struct canary_addr *is, const char *expected)
{
	struct canary_addr wanted = addr(expected);
	char text[INET6_ADDRSTRLEN];

	if (memcmp(is, &wanted, sizeof(wanted)))
		fail_msg("%s instead of %s", inet_ntop(AF_INET6, is, text, sizeof(text)), expected);
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec + (now.tv_nsec - start->tv_nsec) / 1e9;
}

static void need_root(void)
{
	if (geteuid())
		skip();
}

static int set_up(void **state)
{
	char words[64];

	(void)state;
	if (geteuid())
		return 0;
	if (unshare(CLONE_NEWNET) || (there = netns_fd()) < 0 || unshare(CLONE_NEWNET) || (here = netns_fd()) < 0)
		return -1;
	netlink = netlink_open();
	if (!netlink)
		return -1;

	must(here, "ip link add v0 address 02:00:00:00:00:01 mtu 1400 type veth peer name v1");
	must(here, "ip link add v2 type veth peer name v3");
	must(here, "ip link add below link v0 type macvlan");
	snprintf(words, sizeof(words), "ip link set v1 netns /proc/%d/fd/%d", getpid(), there);
	must(here, words);
	must(here, "ip address add 10.1.0.1/24 dev v0");
	must(here, "ip address add 10.1.0.3/24 dev v0");
	must(here, "ip address add 2001:db8:1::1/64 dev v0 nodad");
	must(here, "ip link set lo up");
	must(here, "ip link set v0 up");
	must(there, "ip address add 10.1.0.2/24 dev v1");
	must(there, "ip address add 2001:db8:1::2/64 dev v1 nodad");
	must(there, "ip link set v1 address 02:00:00:00:00:02 up");

	must(here, "ip route add 10.2.0.0/16 via 10.1.0.2 src 10.1.0.3");
	must(here, "ip route add 10.3.0.0/16 via inet6 2001:db8:1::2 dev v0");
	must(here, "ip route add 10.4.0.0/16 nexthop via 10.1.0.2 dev v0 nexthop via 10.1.0.4 dev v0");
	must(here, "ip route add 10.5.0.0/16 via 10.1.0.5 table 77");
	must(here, "ip nexthop add id 5 via 10.1.0.6 dev v0");
	must(here, "ip route add 10.6.0.0/16 nhid 5");
	must(here, "ip route add unreachable 10.7.0.0/16");
	must(here, "ip route add prohibit 10.8.0.0/16");
	must(here, "ip route add blackhole 10.9.0.0/16");
	must(here, "ip route add 2001:db8:2::/48 via 2001:db8:1::2");
	must(here, "ip route add unreachable 2001:db8:7::/48");
	must(here, "ip route add prohibit 2001:db8:8::/48");
	must(here, "ip route add blackhole 2001:db8:9::/48");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	netlink_close(netlink);
	netlink_close(NULL);
	close(here);
	close(there);
	return 0;
}

static void check_route(const char *to, const char *next_hop, const char *source, bool local)
{
	struct canary_addr destination = addr(to);
	struct route route;

	assert_int_equal(netlink_route(netlink, &destination, &route), 0);
	assert_addr(&route.next_hop, next_hop);
	assert_addr(&route.source, source);
	assert_int_equal(route.local, local);
	assert_int_equal(route.ifindex, if_nametoindex(local ? "lo" : "v0"));
}

static void test_a_neighbouring_destination_is_its_own_next_hop(void **state)
{
	(void)state;
	need_root();
	check_route("10.1.0.2", "10.1.0.2", "10.1.0.1", false);
	check_route("2001:db8:1::2", "2001:db8:1::2", "2001:db8:1::1", false);
}

static void test_a_routed_destination_has_a_gateway(void **state)
{
	(void)state;
	need_root();
	check_route("10.2.3.4", "10.1.0.2", "10.1.0.3", false);
	check_route("10.3.3.4", "2001:db8:1::2", "10.1.0.1", false);
	check_route("10.6.3.4", "10.1.0.6", "10.1.0.1", false);
	check_route("2001:db8:2::9", "2001:db8:1::2", "2001:db8:1::1", false);
}

static void test_our_own_addresses_are_local(void **state)
{
	(void)state;
	need_root();
	check_route("127.0.0.1", "127.0.0.1", "127.0.0.1", true);
	check_route("10.1.0.1", "10.1.0.1", "10.1.0.1", true);
	check_route("10.1.0.3", "10.1.0.3", "10.1.0.1", true);
	check_route("2001:db8:1::1", "2001:db8:1::1", "2001:db8:1::1", true);
}

static void test_what_cannot_be_reached_is_an_error(void **state)
{
	static const struct {
		const char *to;
		int error;
	} cases[] = {
		{"192.0.2.1", -ENETUNREACH},	  {"2001:db8:ffff::1", -ENETUNREACH},
		{"10.5.0.1", -ENETUNREACH},	  {"10.7.0.1", -EHOSTUNREACH},
		{"2001:db8:7::1", -EHOSTUNREACH}, {"10.8.0.1", -EACCES},
		{"2001:db8:8::1", -EACCES},	  {"10.9.0.1", -EINVAL},
		{"2001:db8:9::1", -EINVAL},	  {"10.1.0.255", -EACCES},
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct canary_addr to = addr(cases[i].to);
		struct route route = {.ifindex = 4711};
		int error = netlink_route(netlink, &to, &route);

		if (error != cases[i].error || route.ifindex != 4711)
			fail_msg("%s: %d instead of %d", cases[i].to, error, cases[i].error);
	}
}

struct gateways {
	size_t count, stop_at;
	char text[512];
};

static int note_gateway(unsigned ifindex, const struct canary_addr *gateway, void *arg)
{
	struct gateways *seen = arg;
	char text[INET6_ADDRSTRLEN];
	struct route route;

	assert_int_equal(ifindex, if_nametoindex("v0"));
	/* A callback may use the socket. */
	assert_int_equal(netlink_route(netlink, gateway, &route), 0);
	strcat(seen->text, inet_ntop(AF_INET6, gateway, text, sizeof(text)));
	strcat(seen->text, " ");
	return ++seen->count == seen->stop_at ? 4711 : 0;
}

static void test_each_gateway_of_the_main_tables_is_told_once(void **state)
{
	struct gateways seen = {};

	(void)state;
	need_root();
	assert_int_equal(netlink_gateways(netlink, note_gateway, &seen), 0);
	/* 2001:db8:1::2 once for IPv4 and once for IPv6 routes; 10.1.0.5 is in another table. */
	assert_string_equal(seen.text, "::ffff:10.1.0.2 2001:db8:1::2 ::ffff:10.1.0.4 ::ffff:10.1.0.6 2001:db8:1::2 ");
	seen = (struct gateways){.stop_at = 2};
	assert_int_equal(netlink_gateways(netlink, note_gateway, &seen), 4711);
	assert_int_equal(seen.count, 2);
}

static void test_a_link_is_described(void **state)
{
	static const __u8 mac[6] = {2, 0, 0, 0, 0, 1};
	struct link link;

	(void)state;
	need_root();
	assert_int_equal(netlink_link_by_name(netlink, "v0", &link), 0);
	assert_string_equal(link.name, "v0");
	assert_string_equal(link.kind, "veth");
	assert_int_equal(link.ifindex, if_nametoindex("v0"));
	assert_int_equal(link.type, ARPHRD_ETHER);
	assert_int_equal(link.mtu, 1400);
	assert_memory_equal(link.mac, mac, 6);
	assert_true(link.up);
	assert_int_equal(link.lower, 0); /* the peer is in another namespace */

	assert_int_equal(netlink_link_by_name(netlink, "v2", &link), 0);
	assert_int_equal(link.lower, 0); /* ... and here beside, not below */
	assert_false(link.up);

	assert_int_equal(netlink_link_by_name(netlink, "below", &link), 0);
	assert_string_equal(link.kind, "macvlan");
	assert_int_equal(link.lower, if_nametoindex("v0"));

	assert_int_equal(netlink_link_by_name(netlink, "lo", &link), 0);
	assert_int_equal(link.type, ARPHRD_LOOPBACK);
	assert_string_equal(link.kind, "");
}

static void test_names_of_no_link_are_told(void **state)
{
	static const char *const names[] = {
		"", "v", "v00", "v0 ", "V0", "v1", "other", "v%d", "../v0", "a-name-of-sixteen", "a-name-of-16-ch",
	};
	struct link link = {.mtu = 4711};

	(void)state;
	need_root();
	must(here, "ip link property add dev v0 altname other");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(netlink_link_by_name(netlink, names[i], &link), -ENODEV);
	assert_int_equal(link.mtu, 4711);
}

static int note_link(const struct link *link, void *arg)
{
	struct link again;

	assert_int_equal(netlink_link_by_name(netlink, link->name, &again), 0);
	assert_memory_equal(link, &again, sizeof(again));
	strcat(arg, link->name);
	strcat(arg, " ");
	return !strcmp(link->name, "v2") ? 4711 : 0;
}

static int count_link(const struct link *link, void *arg)
{
	(void)link;
	(*(size_t *)arg)++;
	return 0;
}

static void test_all_links_are_told(void **state)
{
	char names[256] = "";
	size_t before = 0, after = 0;

	(void)state;
	need_root();
	assert_int_equal(netlink_links(netlink, note_link, names), 4711);
	assert_non_null(strstr(names, "lo "));
	assert_non_null(strstr(names, "v0 "));
	assert_int_equal(netlink_links(netlink, count_link, &before), 0);
	/* More than one buffer of answers. */
	for (int i = 0; i < 40; i++) {
		char words[64];

		snprintf(words, sizeof(words), "ip link add many%d type bridge", i);
		must(here, words);
	}
	assert_int_equal(netlink_links(netlink, count_link, &after), 0);
	assert_int_equal(after, before + 40);
}

/* Few machines to build on have 802.1Q devices: what the kernel would say of one. */
static void test_a_vlan_device_tells_its_tag_and_what_is_below(void **state)
{
	char buffer[1024];
	struct nlmsghdr *answer = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *header;
	struct nlattr *info, *data;
	struct link link;

	(void)state;
	answer->nlmsg_type = RTM_NEWLINK;
	assert_int_equal(link_parse(answer, &link), -EINVAL);
	header = mnl_nlmsg_put_extra_header(answer, sizeof(*header));
	header->ifi_index = 7;
	mnl_attr_put_strz(answer, IFLA_IFNAME, "eth0.100");
	mnl_attr_put_u32(answer, IFLA_LINK, 2);
	info = mnl_attr_nest_start(answer, IFLA_LINKINFO);
	mnl_attr_put_strz(answer, IFLA_INFO_KIND, "vlan");
	data = mnl_attr_nest_start(answer, IFLA_INFO_DATA);
	mnl_attr_put_u16(answer, IFLA_VLAN_ID, 100);
	mnl_attr_put_u16(answer, IFLA_VLAN_PROTOCOL, htons(0x8100));
	mnl_attr_nest_end(answer, data);
	mnl_attr_nest_end(answer, info);

	assert_int_equal(link_parse(answer, &link), 0);
	assert_string_equal(link.name, "eth0.100");
	assert_string_equal(link.kind, "vlan");
	assert_int_equal(link.vlan_id, 100);
	assert_int_equal(link.vlan_proto, htons(0x8100));
	assert_int_equal(link.lower, 2);
}

struct entry {
	__u16 state;
	__u8 flags;
	__u32 flags_ext;
};

static int parse_entry(const struct nlmsghdr *answer, void *arg)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(answer);
	struct entry *entry = arg;
	const struct nlattr *attr;

	entry->state = header->ndm_state;
	entry->flags = header->ndm_flags;
	mnl_attr_for_each(attr, answer, sizeof(*header))
	{
		if (mnl_attr_get_type(attr) == NDA_FLAGS_EXT)
			entry->flags_ext = mnl_attr_get_u32(attr);
	}
	return 0;
}

/* What the kernel itself says of v0's neighbour. */
static struct entry entry_of(const char *text)
{
	struct nlmsghdr *request = netlink_request(netlink, RTM_GETNEIGH, 0);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	struct canary_addr neighbour = addr(text);
	struct entry entry = {};

	header->ndm_family = addr_family(&neighbour);
	header->ndm_ifindex = if_nametoindex("v0");
	put_addr(request, NDA_DST, &neighbour);
	assert_int_equal(netlink_talk(netlink, request, parse_entry, &entry), 0);
	return entry;
}

static int manage(const char *text)
{
	struct canary_addr neighbour = addr(text);

	return netlink_manage_neighbour(netlink, if_nametoindex("v0"), &neighbour);
}

static int resolved(const char *text)
{
	struct canary_addr neighbour = addr(text);

	return netlink_neighbour_resolved(netlink, if_nametoindex("v0"), &neighbour);
}

/* The first solicitation may be lost while the link is coming up; the kernel repeats it after a second. */
static bool resolved_in_time(const char *text)
{
	struct timespec start;
	bool known = false;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!known && seconds_since(&start) < 10) {
		known = resolved(text) == 1;
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	print_message("%s: %sresolved after %.2f s\n", text, known ? "" : "not ", seconds_since(&start));
	return known;
}

static void test_managed_neighbours_are_resolved_by_the_kernel(void **state)
{
	static const char *const neighbours[] = {"10.1.0.2", "2001:db8:1::2"};

	(void)state;
	need_root();
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(resolved(neighbours[i]), 0);
		assert_int_equal(manage(neighbours[i]), 0);
		assert_true(resolved_in_time(neighbours[i]));
		assert_true(entry_of(neighbours[i]).flags_ext & NTF_EXT_MANAGED);
		assert_true(entry_of(neighbours[i]).flags & NTF_EXT_LEARNED);
		/* Again changes nothing. */
		assert_int_equal(manage(neighbours[i]), 0);
		assert_int_equal(resolved(neighbours[i]), 1);
	}
}

static void test_a_neighbour_the_kernel_knows_already_becomes_managed(void **state)
{
	(void)state;
	need_root();
	must(here, "ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev v0 nud stale");
	assert_int_equal(entry_of("10.1.0.9").flags_ext, 0);
	assert_int_equal(manage("10.1.0.9"), 0);
	assert_int_equal(entry_of("10.1.0.9").flags_ext, NTF_EXT_MANAGED);
}

static void test_a_silent_neighbour_is_managed_but_not_resolved(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(manage("10.1.0.99"), 0);
	assert_int_equal(resolved("10.1.0.99"), 0);
	assert_int_equal(entry_of("10.1.0.99").flags_ext, NTF_EXT_MANAGED);
	/* It comes up: the kernel finds it by itself. */
	must(there, "ip address add 10.1.0.99/24 dev v1");
	assert_true(resolved_in_time("10.1.0.99"));
}

static void test_permanent_entries_are_left_alone(void **state)
{
	(void)state;
	need_root();
	must(here, "ip neigh add 10.1.0.8 lladdr 02:00:00:00:00:08 dev v0 nud permanent");
	assert_int_equal(manage("10.1.0.8"), 0);
	assert_int_equal(entry_of("10.1.0.8").state, NUD_PERMANENT);
	assert_int_equal(entry_of("10.1.0.8").flags_ext, 0);
	assert_int_equal(resolved("10.1.0.8"), 1);
}

static void test_no_neighbour_without_its_link(void **state)
{
	struct canary_addr neighbour = addr("10.1.0.2");

	(void)state;
	need_root();
	assert_int_equal(netlink_manage_neighbour(netlink, 4711, &neighbour), -ENODEV);
	assert_int_equal(netlink_neighbour_resolved(netlink, 4711, &neighbour), -ENODEV);
}

static void set_forwarding(const char *path, char value)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(file >= 0);
	assert_int_equal(write(file, &value, 1), 1);
	close(file);
}

static void test_forwarding_is_told_by_interface_and_family(void **state)
{
	(void)state;
	need_root();
	for (char value = '0'; value <= '1'; value++) {
		set_forwarding("/proc/sys/net/ipv4/conf/v0/forwarding", value);
		set_forwarding("/proc/sys/net/ipv6/conf/v0/forwarding", '0' + !(value - '0'));
		assert_int_equal(forwarding_enabled("v0", AF_INET), value - '0');
		assert_int_equal(forwarding_enabled("v0", AF_INET6), !(value - '0'));
	}
	assert_int_equal(forwarding_enabled("v1", AF_INET), -ENODEV);
}

static void test_interface_names_are_no_way_to_other_files(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "/", "../all", "all/../all", "lo/", "/lo", "l o", "lo\n", "a:b", "a-name-of-sixteen",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(forwarding_enabled(names[i], AF_INET), -EINVAL);
		assert_int_equal(forwarding_enabled(names[i], AF_INET6), -EINVAL);
	}
	assert_int_equal(forwarding_enabled("lo", AF_UNIX), -EINVAL);
	assert_int_equal(forwarding_enabled("no-such-name", AF_INET), -ENODEV);
	/* A dot is a letter like any other. */
	assert_int_equal(forwarding_enabled("no.such.name", AF_INET6), -ENODEV);
}

static void test_the_namespace_is_told_by_its_inode(void **state)
{
	struct stat info;
	__u32 before = netns_inode();

	(void)state;
	assert_int_equal(stat("/proc/self/ns/net", &info), 0);
	assert_int_equal(before, info.st_ino);
	need_root();
	assert_int_equal(setns(there, CLONE_NEWNET), 0);
	assert_true(netns_inode() && netns_inode() != before);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	assert_int_equal(netns_inode(), before);
}

static void test_thousands_of_lookups_are_cheap(void **state)
{
	struct canary_addr to = addr("10.2.0.0");
	struct timespec start;
	struct route route;
	double opening;

	(void)state;
	need_root();
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 1000; i++)
		netlink_close(netlink_open());
	opening = seconds_since(&start);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 20000; i++) {
		to.word[3] = htonl(0x0a020000 + i);
		assert_int_equal(netlink_route(netlink, &to, &route), 0);
	}
	print_message("opening and closing: %.1f us; 20,000 route lookups: %.0f ms\n", opening * 1e3,
		      seconds_since(&start) * 1e3);
	assert_true(seconds_since(&start) < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_neighbouring_destination_is_its_own_next_hop),
		cmocka_unit_test(test_a_routed_destination_has_a_gateway),
		cmocka_unit_test(test_our_own_addresses_are_local),
		cmocka_unit_test(test_what_cannot_be_reached_is_an_error),
		cmocka_unit_test(test_each_gateway_of_the_main_tables_is_told_once),
		cmocka_unit_test(test_a_link_is_described),
		cmocka_unit_test(test_names_of_no_link_are_told),
		cmocka_unit_test(test_all_links_are_told),
		cmocka_unit_test(test_a_vlan_device_tells_its_tag_and_what_is_below),
		cmocka_unit_test(test_managed_neighbours_are_resolved_by_the_kernel),
		cmocka_unit_test(test_a_neighbour_the_kernel_knows_already_becomes_managed),
		cmocka_unit_test(test_a_silent_neighbour_is_managed_but_not_resolved),
		cmocka_unit_test(test_permanent_entries_are_left_alone),
		cmocka_unit_test(test_no_neighbour_without_its_link),
		cmocka_unit_test(test_forwarding_is_told_by_interface_and_family),
		cmocka_unit_test(test_interface_names_are_no_way_to_other_files),
		cmocka_unit_test(test_the_namespace_is_told_by_its_inode),
		cmocka_unit_test(test_thousands_of_lookups_are_cheap),
	};

	return cmocka_run_group_tests_name("netlink", tests, set_up, tear_down);
}
