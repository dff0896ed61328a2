/* SPDX-License-Identifier: Apache-2.0 */
#include "io/descriptors.h"

#include <stdbool.h>
#include <sys/resource.h>

static struct rlimit before;
static bool raised;

void descriptors_raise(void)
{
	struct rlimit wanted;

	if (getrlimit(RLIMIT_NOFILE, &before))
		return;
	wanted = (struct rlimit){.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
	raised = !setrlimit(RLIMIT_NOFILE, &wanted);
}

void descriptors_restore(void)
{
	if (raised)
		setrlimit(RLIMIT_NOFILE, &before);
}
