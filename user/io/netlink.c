/* SPDX-License-Identifier: Apache-2.0 */
#include "io/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/netlink_talk.h"

enum {
	BUFFER_SIZE = 32768, /* the kernel fills dumps up to this */
	DUMP_TRIES = 3,
};

struct netlink {
	struct mnl_socket *socket;
	__u32 sequence;
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
};

struct netlink *netlink_open(void)
{
	struct netlink *netlink = malloc(sizeof(*netlink));
	int error;

	if (!netlink)
		return NULL;
	netlink->sequence = 0;
	netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (netlink->socket && mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) == 0)
		return netlink;
	error = errno;
	netlink_close(netlink);
	errno = error;
	return NULL;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	free(netlink);
}

struct nlmsghdr *netlink_request(struct netlink *netlink, int type, int flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(netlink->buffer);

	request->nlmsg_type = type;
	/* With an acknowledgement, which dumps do without, the last answer is NLMSG_ERROR or NLMSG_DONE. */
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->nlmsg_seq = ++netlink->sequence;
	return request;
}

/* One buffer of answers: 1 if the last one was among them (its result in *ret), 0 if more will come. */
static int read_answers(struct netlink *netlink, int len, int (*call)(const struct nlmsghdr *answer, void *arg),
			void *arg, int *ret)
{
	const struct nlmsghdr *answer = (void *)netlink->buffer;

	for (; mnl_nlmsg_ok(answer, len); answer = mnl_nlmsg_next(answer, &len)) {
		/* What an earlier request left unread. */
		if (answer->nlmsg_seq != netlink->sequence)
			continue;
		if (answer->nlmsg_flags & NLM_F_DUMP_INTR && !*ret)
			*ret = -EINTR;
		if (answer->nlmsg_type == NLMSG_ERROR || answer->nlmsg_type == NLMSG_DONE) {
			const int *error = mnl_nlmsg_get_payload(answer);

			if (mnl_nlmsg_get_payload_len(answer) >= sizeof(*error) && *error)
				*ret = *error;
			return 1;
		}
		if (call && (!*ret || *ret == -EINTR)) {
			int result = call(answer, arg);

			*ret = result ? result : *ret;
		}
	}
	return 0;
}

int netlink_talk(struct netlink *netlink, struct nlmsghdr *request,
		 int (*call)(const struct nlmsghdr *answer, void *arg), void *arg)
{
	int result = 0;

	if (mnl_socket_sendto(netlink->socket, request, request->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t len = mnl_socket_recvfrom(netlink->socket, netlink->buffer, sizeof(netlink->buffer));

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		if (read_answers(netlink, len, call, arg, &result))
			return result;
	}
}

int netlink_list_add(struct netlink_list *list, const void *item)
{
	/* Grows at powers of two, from 1. */
	if (!(list->count & (list->count - 1))) {
		void *items = reallocarray(list->items, list->count ? 2 * list->count : 1, list->item_size);

		if (!items)
			return -ENOMEM;
		list->items = items;
	}
	memcpy((char *)list->items + list->count++ * list->item_size, item, list->item_size);
	return 0;
}

int netlink_dump(struct netlink *netlink, int type, unsigned char family,
		 int (*parse)(const struct nlmsghdr *answer, void *list), struct netlink_list *list)
{
	int result = -EINTR;

	for (int i = 0; i < DUMP_TRIES && result == -EINTR; i++) {
		struct nlmsghdr *request = netlink_request(netlink, type, NLM_F_DUMP);

		if (type == RTM_GETLINK) {
			struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

			info->ifi_family = family;
			mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
		} else {
			struct rtmsg *route = mnl_nlmsg_put_extra_header(request, sizeof(*route));

			route->rtm_family = family;
		}
		free(list->items);
		list->items = NULL;
		list->count = 0;
		result = netlink_talk(netlink, request, parse, list);
	}
	return result == -EINTR ? 0 : result;
}

int addr_family(const struct canary_addr *addr)
{
	return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)addr) ? AF_INET : AF_INET6;
}

void put_addr(struct nlmsghdr *request, int type, const struct canary_addr *addr)
{
	if (addr_family(addr) == AF_INET)
		mnl_attr_put(request, type, sizeof(addr->word[3]), &addr->word[3]);
	else
		mnl_attr_put(request, type, sizeof(*addr), addr);
}

int get_addr(int family, const void *bytes, size_t len, struct canary_addr *ret)
{
	if (family == AF_INET && len == sizeof(ret->word[3])) {
		*ret = (struct canary_addr){{0, 0, htonl(0xffff), 0}};
		memcpy(&ret->word[3], bytes, len);
		return 0;
	}
	if (family == AF_INET6 && len == sizeof(*ret)) {
		memcpy(ret, bytes, len);
		return 0;
	}
	return -EINVAL;
}

/* What the kernel's dev_valid_name() allows: no way out of the folder. */
static bool interface_name_is_valid(const char *name)
{
	return *name && strlen(name) < IFNAMSIZ && strcmp(name, ".") && strcmp(name, "..") &&
	       !strpbrk(name, "/: \t\n\v\f\r");
}

/* Opens a setting of an interface. The folder first: a name is a path's part of its own. A descriptor or -errno. */
static int open_setting(const char *interface, int family, const char *setting, int flags)
{
	char path[IFNAMSIZ + 64];
	int folder, file, error;

	if (!interface_name_is_valid(interface) || (family != AF_INET && family != AF_INET6))
		return -EINVAL;
	folder = open(family == AF_INET ? "/proc/sys/net/ipv4/conf" : "/proc/sys/net/ipv6/conf",
		      O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return errno == ENOENT ? -EAFNOSUPPORT : -errno;
	snprintf(path, sizeof(path), "%s/%s", interface, setting);
	file = openat(folder, path, flags | O_CLOEXEC);
	error = errno;
	close(folder);
	return file < 0 ? -error : file;
}

int interface_setting(const char *interface, int family, const char *setting)
{
	int file = open_setting(interface, family, setting, O_RDONLY), error;
	char text[16] = "";
	ssize_t len;

	if (file < 0)
		return file == -ENOENT ? -ENODEV : file;
	len = read(file, text, sizeof(text) - 1);
	error = errno;
	close(file);
	if (len < 1 || text[0] < '0' || text[0] > '9')
		return len < 0 ? -error : -EIO;
	return atoi(text);
}

int forwarding_enabled(const char *interface, int family)
{
	int value = interface_setting(interface, family, "forwarding");

	return value < 0 ? value : value != 0;
}

int neighbours_outlive_carrier(const char *interface, int family)
{
	const char *setting = family == AF_INET ? "arp_evict_nocarrier" : "ndisc_evict_nocarrier";
	int file = open_setting(interface, family, setting, O_WRONLY), error = 0;

	if (file < 0)
		return file == -ENOENT || file == -EAFNOSUPPORT ? 0 : file;
	if (write(file, "0", 1) != 1)
		error = errno ? -errno : -EIO;
	close(file);
	return error;
}

__u32 netns_inode(void)
{
	struct stat info;

	/* The thread's: another thread may live in another namespace. */
	return stat("/proc/thread-self/ns/net", &info) ? 0 : info.st_ino;
}
