/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sysctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

int sysctl_number(const char *name, int *ret)
{
	char path[PATH_MAX];
	FILE *file;
	int number, count;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	file = fopen(path, "re");
	if (!file)
		return -errno;
	count = fscanf(file, "%d", &number);
	fclose(file);
	if (count != 1)
		return -EIO;
	*ret = number;
	return 0;
}
