/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <errno.h>
#include <net/if.h>
#include <time.h>

#include "io/netlink.h"
#include "io/netlink_talk.h"
#include "lib_model.h"
#include "lib_netns.h"

static struct netlink *netlink;

static int set_up(void **state)
{
	if (netns_set_up(state))
		return -1;
	netlink = netlink_open();
	return netlink ? 0 : -1;
}

static int tear_down(void **state)
{
	netlink_close(netlink);
	return netns_tear_down(state);
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
	struct canary_addr neighbour = make_addr(text);
	struct entry entry = {};

	header->ndm_family = addr_family(&neighbour);
	header->ndm_ifindex = if_nametoindex("v0");
	put_addr(request, NDA_DST, &neighbour);
	assert_int_equal(netlink_talk(netlink, request, parse_entry, &entry), 0);
	return entry;
}

static int manage(const char *text)
{
	struct canary_addr neighbour = make_addr(text);

	return netlink_manage_neighbour(netlink, if_nametoindex("v0"), &neighbour);
}

static int resolved(const char *text)
{
	struct canary_addr neighbour = make_addr(text);

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
	netns_needed();
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
	netns_needed();
	netns_run(netns_here, "ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev v0 nud stale");
	assert_int_equal(entry_of("10.1.0.9").flags_ext, 0);
	assert_int_equal(manage("10.1.0.9"), 0);
	assert_int_equal(entry_of("10.1.0.9").flags_ext, NTF_EXT_MANAGED);
}

static void test_a_silent_neighbour_is_managed_but_not_resolved(void **state)
{
	(void)state;
	netns_needed();
	assert_int_equal(manage("10.1.0.99"), 0);
	assert_int_equal(resolved("10.1.0.99"), 0);
	assert_int_equal(entry_of("10.1.0.99").flags_ext, NTF_EXT_MANAGED);
	/* It comes up: the kernel finds it by itself. */
	netns_run(netns_there, "ip address add 10.1.0.99/24 dev v1");
	assert_true(resolved_in_time("10.1.0.99"));
}

static void test_permanent_entries_are_left_alone(void **state)
{
	(void)state;
	netns_needed();
	netns_run(netns_here, "ip neigh add 10.1.0.8 lladdr 02:00:00:00:00:08 dev v0 nud permanent");
	assert_int_equal(manage("10.1.0.8"), 0);
	assert_int_equal(entry_of("10.1.0.8").state, NUD_PERMANENT);
	assert_int_equal(entry_of("10.1.0.8").flags_ext, 0);
	assert_int_equal(resolved("10.1.0.8"), 1);
}

static void test_no_neighbour_without_its_link(void **state)
{
	struct canary_addr neighbour = make_addr("10.1.0.2");

	(void)state;
	netns_needed();
	assert_int_equal(netlink_manage_neighbour(netlink, 4711, &neighbour), -ENODEV);
	assert_int_equal(netlink_neighbour_resolved(netlink, 4711, &neighbour), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_managed_neighbours_are_resolved_by_the_kernel),
		cmocka_unit_test(test_a_neighbour_the_kernel_knows_already_becomes_managed),
		cmocka_unit_test(test_a_silent_neighbour_is_managed_but_not_resolved),
		cmocka_unit_test(test_permanent_entries_are_left_alone),
		cmocka_unit_test(test_no_neighbour_without_its_link),
	};

	return cmocka_run_group_tests_name("netlink_neighbour", tests, set_up, tear_down);
}
