/* SPDX-License-Identifier: Apache-2.0 */
#include "io/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "io/privileges_private.h"

#define MAX_GROUPS 64
#define MAX_CAPABILITIES 64 /* those that this kernel does not have are no error */

static const unsigned kept[] = {CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW};

/* Who may not, or is in too many already, does without: the socket is then its own group's. */
static void join(const char *name)
{
	const struct group *group = getgrnam(name);
	gid_t groups[MAX_GROUPS + 1];
	int count = getgroups(MAX_GROUPS, groups);

	if (!group || count < 0 || getegid() == group->gr_gid)
		return;
	for (int i = 0; i < count; i++)
		if (groups[i] == group->gr_gid)
			return;
	groups[count] = group->gr_gid;
	if (setgroups((size_t)count + 1, groups))
		return;
}

static bool is_kept(unsigned capability)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (kept[i] == capability)
			return true;
	return capability == CAP_DAC_OVERRIDE && geteuid();
}

static int drop_capabilities(void)
{
	capng_select_t which = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

	if (capng_get_caps_process())
		return -EIO;
	/* Who may not change the bounding set was given one; and with no_new_privs nobody gains from it. */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		which |= CAPNG_SELECT_BOUNDS;
	for (unsigned i = 0; i < MAX_CAPABILITIES; i++)
		if (!is_kept(i))
			capng_update(CAPNG_DROP,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET |
					     CAPNG_AMBIENT,
				     i);
	return capng_apply(which) ? -EPERM : 0;
}

int privileges_drop(const char *group, struct error *error)
{
	int err;

	join(group);
	err = drop_capabilities();
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (err)
		return fail(error, err, "privileges cannot be given up: %s", strerror(-err));
	err = system_calls_restrict();
	return err ? fail(error, err, "system calls cannot be restricted: %s", strerror(-err)) : 0;
}
