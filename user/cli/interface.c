/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/interface.h"
#include "core/text.h"
#include "io/netlink.h"

int interface_mode(const char *text, enum attach_mode *ret, struct error *error)
{
	static const char *const names[] = {
		[ATTACH_AUTO] = "auto",
		[ATTACH_NATIVE] = "native",
		[ATTACH_GENERIC] = "generic",
	};

	*ret = ATTACH_AUTO;
	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*ret = i;
			return 0;
		}
	}
	return fail(error, CLI_USAGE, "--mode is auto, native or generic, not \"%s\"", text);
}

int interface_find(struct netlink *netlink, const char *name, struct interface *ret, struct error *error)
{
	struct link link;
	int err = netlink_link_by_name(netlink, name, &link);

	if (err == -ENODEV)
		return fail(error, err, "there is no interface \"%s\": see ip link", name);
	if (err)
		return fail(error, err, "cannot ask the kernel for interface \"%s\": %s", name, strerror(-err));
	if (link.type != ARPHRD_ETHER && link.type != ARPHRD_LOOPBACK)
		return fail(error, -EINVAL, "%s is no Ethernet interface: only those can be attached to", name);
	*ret = (struct interface){
		.ifindex = link.ifindex,
		.netns = netns_inode(),
		.partial_checksums = !strcmp(link.kind, "veth"),
	};
	memcpy(ret->name, link.name, sizeof(ret->name));
	memcpy(ret->mac, link.mac, sizeof(ret->mac));
	return 0;
}

void decap_dir(const struct cli *cli, char ret[PATH_MAX])
{
	size_t len = strlen(cli->dir);

	while (len > 1 && cli->dir[len - 1] == '/')
		len--;
	snprintf(ret, PATH_MAX, "%.*s-decap", (int)len, cli->dir);
}

const char *copyable(const char *name)
{
	return name_is_valid(name) ? name : "IFACE";
}
