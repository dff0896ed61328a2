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

int gro_enabled(const char *interface)
{
	struct ethtool_value value = {.cmd = ETHTOOL_GGRO};
	struct ifreq request = {.ifr_data = (void *)&value};
	int socket_fd, error;

	if (strlen(interface) >= sizeof(request.ifr_name))
		return -ENODEV;
	strcpy(request.ifr_name, interface);
	socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (socket_fd < 0)
		return -errno;
	error = ioctl(socket_fd, SIOCETHTOOL, &request) ? -errno : 0;
	close(socket_fd);
	return error ? error : value.data != 0;
}
