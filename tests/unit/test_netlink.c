/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/netlink.h"
#include "io/netlink_talk.h"
#include "lib_model.h"
#include "lib_netns.h"

static struct netlink *netlink;

static void assert_addr(const struct canary_addr *is, const char *expected)
{
	struct canary_addr wanted = make_addr(expected);
	char text[INET6_ADDRSTRLEN];

	if (memcmp(is, &wanted, sizeof(wanted)))
		fail_msg("%s instead of %s", inet_ntop(AF_INET6, is, text, sizeof(text)), expected);
}

static int set_up(void **state)
{
	if (netns_set_up(state))
		return -1;
	netlink = netlink_open();
	if (!netlink || geteuid())
		return netlink ? 0 : -1;
	netns_run(netns_here, "ip link add v2 type veth peer name v3");
	netns_run(netns_here, "ip link add below link v0 type macvlan");
	netns_run(netns_here, "ip route add 10.2.0.0/16 via 10.1.0.2 src 10.1.0.3");
	netns_run(netns_here, "ip route add 10.3.0.0/16 via inet6 2001:db8:1::2 dev v0");
	netns_run(netns_here, "ip route add 10.4.0.0/16 nexthop via 10.1.0.2 dev v0 nexthop via 10.1.0.4 dev v0");
	netns_run(netns_here, "ip route add 10.5.0.0/16 via 10.1.0.5 table 77");
	netns_run(netns_here, "ip nexthop add id 5 via 10.1.0.6 dev v0");
	netns_run(netns_here, "ip route add 10.6.0.0/16 nhid 5");
	netns_run(netns_here, "ip route add unreachable 10.7.0.0/16");
	netns_run(netns_here, "ip route add prohibit 10.8.0.0/16");
	netns_run(netns_here, "ip route add blackhole 10.9.0.0/16");
	netns_run(netns_here, "ip route add 2001:db8:2::/48 via 2001:db8:1::2");
	netns_run(netns_here, "ip route add unreachable 2001:db8:7::/48");
	netns_run(netns_here, "ip route add prohibit 2001:db8:8::/48");
	netns_run(netns_here, "ip route add blackhole 2001:db8:9::/48");
	return 0;
}

static int tear_down(void **state)
{
	netlink_close(netlink);
	netlink_close(NULL);
	return netns_tear_down(state);
}

static void check_route(const char *to, const char *next_hop, const char *source, bool local)
{
	struct canary_addr destination = make_addr(to);
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
	netns_needed();
	check_route("10.1.0.2", "10.1.0.2", "10.1.0.1", false);
	check_route("2001:db8:1::2", "2001:db8:1::2", "2001:db8:1::1", false);
}

static void test_a_routed_destination_has_a_gateway(void **state)
{
	(void)state;
	netns_needed();
	check_route("10.2.3.4", "10.1.0.2", "10.1.0.3", false);
	check_route("10.3.3.4", "2001:db8:1::2", "10.1.0.1", false);
	check_route("10.6.3.4", "10.1.0.6", "10.1.0.1", false);
	check_route("2001:db8:2::9", "2001:db8:1::2", "2001:db8:1::1", false);
}

static void test_our_own_addresses_are_local(void **state)
{
	(void)state;
	netns_needed();
	check_route("127.0.0.1", "127.0.0.1", "127.0.0.1", true);
	check_route("10.1.0.1", "10.1.0.1", "10.1.0.1", true);
	check_route("10.1.0.3", "10.1.0.3", "10.1.0.1", true);
	check_route("2001:db8:1::1", "2001:db8:1::1", "2001:db8:1::1", true);
}

static const char *const addresses[] = {"10.1.0.1", "10.1.0.3", "2001:db8:1::1"};
enum { ADDRESSES = sizeof(addresses) / sizeof(addresses[0]) };

static int count_address(const struct address *address, void *arg)
{
	unsigned *counts = arg;

	for (int i = 0; i < ADDRESSES; i++) {
		struct canary_addr addr = make_addr(addresses[i]);

		if (addr_equal(&address->addr, &addr)) {
			assert_int_equal(address->ifindex, if_nametoindex("v0"));
			assert_int_equal(address->prefix_len, addr_is_v4(&addr) ? 96 + 24 : 64);
			counts[i]++;
		}
	}
	counts[ADDRESSES]++;
	return 0;
}

static int stop_at_once(const struct address *address, void *arg)
{
	(void)address;
	++*(unsigned *)arg;
	return 7;
}

static void test_each_address_of_this_host_is_told_once(void **state)
{
	unsigned counts[ADDRESSES + 1] = {}, calls = 0;

	(void)state;
	netns_needed();
	assert_int_equal(netlink_addresses(netlink, count_address, counts), 0);
	for (int i = 0; i < ADDRESSES; i++)
		assert_int_equal(counts[i], 1);
	/* Those of lo are told as well. */
	assert_true(counts[ADDRESSES] > ADDRESSES);
	assert_int_equal(netlink_addresses(netlink, stop_at_once, &calls), 7);
	assert_int_equal(calls, 1);
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
	netns_needed();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct canary_addr to = make_addr(cases[i].to);
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
	netns_needed();
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
	netns_needed();
	assert_int_equal(netlink_link_by_name(netlink, "v0", &link), 0);
	assert_string_equal(link.name, "v0");
	assert_string_equal(link.kind, "veth");
	assert_int_equal(link.ifindex, if_nametoindex("v0"));
	assert_int_equal(link.type, ARPHRD_ETHER);
	assert_int_equal(link.mtu, 1400);
	assert_memory_equal(link.mac, mac, 6);
	assert_true(link.up && link.running);
	assert_int_equal(link.lower, 0); /* the peer is in another namespace */

	assert_int_equal(netlink_link_by_name(netlink, "v2", &link), 0);
	assert_int_equal(link.lower, 0); /* ... and here beside, not below */
	assert_false(link.up || link.running);

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
	netns_needed();
	netns_run(netns_here, "ip link property add dev v0 altname other");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(netlink_link_by_name(netlink, names[i], &link), -ENODEV);
	assert_int_equal(netlink_link_by_index(netlink, 0, &link), -ENODEV);
	assert_int_equal(netlink_link_by_index(netlink, 4711, &link), -ENODEV);
	assert_int_equal(link.mtu, 4711);
}

static int note_link(const struct link *link, void *arg)
{
	struct link again;

	assert_int_equal(netlink_link_by_name(netlink, link->name, &again), 0);
	assert_memory_equal(link, &again, sizeof(again));
	assert_int_equal(netlink_link_by_index(netlink, link->ifindex, &again), 0);
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
	netns_needed();
	assert_int_equal(netlink_links(netlink, note_link, names), 4711);
	assert_non_null(strstr(names, "lo "));
	assert_non_null(strstr(names, "v0 "));
	assert_int_equal(netlink_links(netlink, count_link, &before), 0);
	/* More than one buffer of answers. */
	for (int i = 0; i < 40; i++) {
		netns_run(netns_here, "ip link add many%d type bridge", i);
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
	netns_needed();
	for (char value = '0'; value <= '1'; value++) {
		set_forwarding("/proc/sys/net/ipv4/conf/v0/forwarding", value);
		set_forwarding("/proc/sys/net/ipv6/conf/v0/forwarding", '0' + !(value - '0'));
		assert_int_equal(forwarding_enabled("v0", AF_INET), value - '0');
		assert_int_equal(forwarding_enabled("v0", AF_INET6), !(value - '0'));
	}
	assert_int_equal(forwarding_enabled("v1", AF_INET), -ENODEV);
}

static char setting(const char *path)
{
	FILE *file = fopen(path, "r");
	int value;

	assert_non_null(file);
	value = fgetc(file);
	fclose(file);
	return (char)value;
}

static void test_neighbours_are_kept_through_a_loss_of_carrier(void **state)
{
	(void)state;
	netns_needed();
	if (access("/proc/sys/net/ipv4/conf/v0/arp_evict_nocarrier", F_OK))
		skip(); /* before 5.16 */
	assert_int_equal(setting("/proc/sys/net/ipv4/conf/v0/arp_evict_nocarrier"), '1');
	assert_int_equal(neighbours_outlive_carrier("v0", AF_INET), 0);
	assert_int_equal(setting("/proc/sys/net/ipv4/conf/v0/arp_evict_nocarrier"), '0');
	assert_int_equal(setting("/proc/sys/net/ipv6/conf/v0/ndisc_evict_nocarrier"), '1');
	assert_int_equal(neighbours_outlive_carrier("v0", AF_INET6), 0);
	assert_int_equal(setting("/proc/sys/net/ipv6/conf/v0/ndisc_evict_nocarrier"), '0');
	assert_int_equal(neighbours_outlive_carrier("../all", AF_INET), -EINVAL);
	/* As where a kernel does not have the setting. */
	assert_int_equal(neighbours_outlive_carrier("v1", AF_INET), 0);
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
	netns_needed();
	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	assert_true(netns_inode() && netns_inode() != before);
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	assert_int_equal(netns_inode(), before);
}

static void test_thousands_of_lookups_are_cheap(void **state)
{
	struct canary_addr to = make_addr("10.2.0.0");
	struct timespec start;
	struct route route;
	double opening;

	(void)state;
	netns_needed();
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
		cmocka_unit_test(test_each_address_of_this_host_is_told_once),
		cmocka_unit_test(test_what_cannot_be_reached_is_an_error),
		cmocka_unit_test(test_each_gateway_of_the_main_tables_is_told_once),
		cmocka_unit_test(test_a_link_is_described),
		cmocka_unit_test(test_names_of_no_link_are_told),
		cmocka_unit_test(test_all_links_are_told),
		cmocka_unit_test(test_a_vlan_device_tells_its_tag_and_what_is_below),
		cmocka_unit_test(test_forwarding_is_told_by_interface_and_family),
		cmocka_unit_test(test_neighbours_are_kept_through_a_loss_of_carrier),
		cmocka_unit_test(test_interface_names_are_no_way_to_other_files),
		cmocka_unit_test(test_the_namespace_is_told_by_its_inode),
		cmocka_unit_test(test_thousands_of_lookups_are_cheap),
	};

	return cmocka_run_group_tests_name("netlink", tests, set_up, tear_down);
}
