/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/ethtool.h"
#include "io/netlink.h"
#include "io/solicit.h"
#include "io/sysctl.h"
#include "lib_model.h"
#include "lib_netns.h"

#define WAIT_MS 300

static struct netlink *netlink;

static int set_up(void **state)
{
	if (netns_set_up(state))
		return -1;
	netlink = netlink_open();
	if (!netlink || geteuid())
		return netlink ? 0 : -1;
	netns_run(netns_there, "ip link set lo up");
	netns_run(netns_there, "ip address add 10.1.0.9/32 dev lo");
	netns_run(netns_there, "ip address add 2001:db8:1::9/128 dev lo");
	netns_run(netns_there, "ip link add vx type veth peer name vy");
	return 0;
}

static int tear_down(void **state)
{
	netlink_close(netlink);
	return netns_tear_down(state);
}

struct seen {
	struct canary_addr addr; /* that is waited for */
	unsigned times;
	__u8 mac[6];
};

static void note(const struct canary_addr *addr, const __u8 mac[6], void *arg)
{
	struct seen *seen = arg;

	if (!addr_equal(addr, &seen->addr))
		return;
	seen->times++;
	memcpy(seen->mac, mac, sizeof(seen->mac));
}

/* How many answer for an address on v0's link, of whom the last is in *ret. */
static struct seen ask(const char *text)
{
	struct seen seen = {.addr = make_addr(text)};
	struct solicit *solicit;
	struct link link;

	assert_int_equal(netlink_link_by_name(netlink, "v0", &link), 0);
	solicit = solicit_open(&link);
	assert_non_null(solicit);
	assert_int_equal(solicit_ask(solicit, &seen.addr), 0);
	assert_int_equal(solicit_collect(solicit, WAIT_MS, note, &seen), 0);
	solicit_close(solicit);
	return seen;
}

static void test_who_has_an_address_answers(void **state)
{
	static const __u8 there[6] = {2, 0, 0, 0, 0, 2};
	/* IPv4 answers for an address of lo as well. */
	static const char *const addresses[] = {"10.1.0.2", "2001:db8:1::2", "10.1.0.9"};

	(void)state;
	netns_needed();
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct seen seen = ask(addresses[i]);

		if (seen.times != 1 || memcmp(seen.mac, there, sizeof(there)) != 0)
			fail_msg("%s was answered for %u times", addresses[i], seen.times);
	}
}

static void test_nobody_answers_for_what_nobody_has_nor_do_we_for_our_own(void **state)
{
	static const char *const addresses[] = {"10.1.0.77", "2001:db8:1::77", "2001:db8:1::9", "10.1.0.1",
						"2001:db8:1::1"};

	(void)state;
	netns_needed();
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_int_equal(ask(addresses[i]).times, 0);
}

/* A probe has no sender's address: nobody learns that we had it. */
static void test_asking_claims_nothing(void **state)
{
	(void)state;
	netns_needed();
	netns_run(netns_there, "ip neighbour flush all");
	assert_int_equal(ask("10.1.0.2").times, 1);
	netns_run(netns_there, "sh -c ip\tneighbour\tshow\tto\t10.1.0.1\tnud\tall|{\t!\tgrep\t-q\tlladdr;}");
}

static void test_a_proxy_is_told(void **state)
{
	struct canary_addr v4 = make_addr("10.1.0.50"), v6 = make_addr("2001:db8:1::50");
	struct link link;

	(void)state;
	netns_needed();
	assert_int_equal(netlink_link_by_name(netlink, "v0", &link), 0);
	assert_int_equal(netlink_is_proxy(netlink, link.ifindex, &v4), 0);
	netns_run(netns_here, "ip neighbour add proxy 10.1.0.50 dev v0");
	netns_run(netns_here, "ip neighbour add proxy 2001:db8:1::50 dev v0");
	assert_int_equal(netlink_is_proxy(netlink, link.ifindex, &v4), 1);
	assert_int_equal(netlink_is_proxy(netlink, link.ifindex, &v6), 1);
}

static void test_a_device_is_described(void **state)
{
	char driver[DRIVER_NAME_LEN];
	struct queues queues = {};

	(void)state;
	netns_needed();
	assert_int_equal(driver_name("v0", driver), 0);
	assert_string_equal(driver, "veth");
	assert_int_equal(receive_queues("v0", &queues), 0);
	assert_int_equal(queues.receive, 1);
	assert_true(queues.receive_max >= 1 && !queues.combined);
	assert_int_equal(receive_queues("lo", &queues), -EOPNOTSUPP);
	assert_int_equal(driver_name("v9", driver), -ENODEV);
	assert_int_equal(lro_enabled("a name that is too long for one"), -ENODEV);
	assert_int_equal(lro_enabled("v0"), 0);
	netns_run(netns_here, "ethtool -K v0 gro on rxvlan off");
	assert_int_equal(gro_enabled("v0"), 1);
	assert_int_equal(vlan_stripping_enabled("v0"), 0);
	netns_run(netns_here, "ethtool -K v0 gro off rxvlan on");
	assert_int_equal(gro_enabled("v0"), 0);
	assert_int_equal(vlan_stripping_enabled("v0"), 1);
}

static void test_settings_are_numbers(void **state)
{
	int number = 4711;

	(void)state;
	netns_needed();
	assert_int_equal(sysctl_number("kernel/no_such_setting", &number), -ENOENT);
	assert_int_equal(sysctl_number("kernel/ostype", &number), -EIO);
	assert_int_equal(number, 4711);
	netns_run(netns_here, "sysctl -qw net.ipv4.ping_group_range=17\t4242 net.ipv4.conf.v0.rp_filter=2");
	assert_int_equal(sysctl_number("net/ipv4/ping_group_range", &number), 0);
	assert_int_equal(number, 17);
	assert_int_equal(interface_setting("v0", AF_INET, "rp_filter"), 2);
	assert_int_equal(interface_setting("v9", AF_INET, "rp_filter"), -ENODEV);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_has_an_address_answers),
		cmocka_unit_test(test_nobody_answers_for_what_nobody_has_nor_do_we_for_our_own),
		cmocka_unit_test(test_asking_claims_nothing),
		cmocka_unit_test(test_a_proxy_is_told),
		cmocka_unit_test(test_a_device_is_described),
		cmocka_unit_test(test_settings_are_numbers),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
