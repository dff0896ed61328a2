/* SPDX-License-Identifier: Apache-2.0 */
#include "io/ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* `command` is one of the structs of linux/ethtool.h: the question, and then the answer. 0 or -errno. */
static int ask(const char *interface, void *command)
{
	struct ifreq request = {.ifr_data = command};
	int socket_fd, error;

	if (strlen(interface) >= sizeof(request.ifr_name))
		return -ENODEV;
	strcpy(request.ifr_name, interface);
	socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (socket_fd < 0)
		return -errno;
	error = ioctl(socket_fd, SIOCETHTOOL, &request) ? -errno : 0;
	close(socket_fd);
	return error;
}

static int has_flag(const char *interface, __u32 flag)
{
	struct ethtool_value value = {.cmd = ETHTOOL_GFLAGS};
	int error = ask(interface, &value);

	return error ? error : (value.data & flag) != 0;
}

int gro_enabled(const char *interface)
{
	struct ethtool_value value = {.cmd = ETHTOOL_GGRO};
	int error = ask(interface, &value);

	return error ? error : value.data != 0;
}

int lro_enabled(const char *interface)
{
	return has_flag(interface, ETH_FLAG_LRO);
}

int vlan_stripping_enabled(const char *interface)
{
	return has_flag(interface, ETH_FLAG_RXVLAN);
}

int driver_name(const char *interface, char ret[DRIVER_NAME_LEN])
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	int error = ask(interface, &info);

	_Static_assert(sizeof(info.driver) == DRIVER_NAME_LEN, "a name fits");
	if (error)
		return error;
	memcpy(ret, info.driver, DRIVER_NAME_LEN);
	ret[DRIVER_NAME_LEN - 1] = '\0';
	return 0;
}

int receive_queues(const char *interface, struct queues *ret)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	int error = ask(interface, &channels);

	if (error)
		return error;
	ret->receive = channels.rx_count + channels.combined_count;
	ret->receive_max = channels.max_rx + channels.max_combined;
	ret->combined = channels.max_combined;
	return 0;
}
