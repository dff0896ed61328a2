/* SPDX-License-Identifier: Apache-2.0 */
#include "io/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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
	return false;
}

/* What is to be, for capng_apply(). Commands of another user than root have what is in the ambient set alone. */
static void choose_capabilities(bool root)
{
	for (unsigned i = 0; i < MAX_CAPABILITIES; i++) {
		if (!is_kept(i))
			capng_update(CAPNG_DROP,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET |
					     CAPNG_AMBIENT,
				     i);
		else if (!root && capng_have_capability(CAPNG_PERMITTED, i))
			capng_update(CAPNG_ADD, CAPNG_INHERITABLE | CAPNG_AMBIENT, i);
	}
}

/* `owner`: who we become. NULL: who we are. */
static int drop_capabilities(const struct stat *owner)
{
	bool may_bound;

	if (capng_get_caps_process())
		return -EIO;
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	choose_capabilities(!geteuid() && !owner);
	/* Who may not change the bounding set was given one; and with no_new_privs nobody gains from it. */
	if (may_bound && capng_apply(CAPNG_SELECT_BOUNDS))
		return -EPERM;
	if (owner ? capng_change_id((int)owner->st_uid, (int)owner->st_gid, CAPNG_DROP_SUPP_GRP)
		  : capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return capng_apply(CAPNG_SELECT_AMBIENT) ? -EPERM : 0;
}

int privileges_drop(const char *group, const char *directory, struct error *error)
{
	struct stat status;
	bool change = !geteuid() && !stat(directory, &status) && status.st_uid;
	int err;

	if (!change)
		join(group);
	err = drop_capabilities(change ? &status : NULL);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (err)
		return fail(error, err, "privileges cannot be given up: %s", strerror(-err));
	err = system_calls_restrict();
	return err ? fail(error, err, "system calls cannot be restricted: %s", strerror(-err)) : 0;
}
