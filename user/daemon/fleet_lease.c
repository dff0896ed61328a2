/* SPDX-License-Identifier: Apache-2.0 */
/* How a host enters its fleet, and stays in it: a lease, the key bound to it, and its renewal. */
#include <errno.h>

#include "daemon/fleet_private.h"
#include "daemon/log.h"

#define NOTHING_DONE "done 0\n" /* a report, before all is read anew */

struct etcd_compare fleet_fence(const struct fleet *fleet, char key[FLEET_KEY_LEN])
{
	return (struct etcd_compare){
		.key = fleet_key_text(fleet, FLEET_KEY_HOST, fleet->settings.name, NULL, key),
		.target = ETCD_LEASE,
		.number = fleet->lease,
	};
}

static void on_entered(const struct etcd_result *result, void *arg)
{
	struct fleet *fleet = arg;

	fleet->asking = false;
	/* Its key is another one than was read: all is read again before it tries once more. */
	if (result->error || !result->succeeded)
		fleet_host_lost_watch(&fleet->host);
	else
		fleet_host_granted(&fleet->host, fleet->asked_ms, fleet_now_ms(), result->revision);
	fleet_run(fleet);
}

/* Under the new lease, and only in place of what was read: a write that was long on its way brings no older lease back. */
static int enter(struct fleet *fleet, struct error *error)
{
	char member_key[FLEET_KEY_LEN], host_key[FLEET_KEY_LEN], member_text[FLEET_TEXT_LEN];
	const char *name = fleet->settings.name;
	const struct mirror_entry *host = mirror_find(&fleet->mirror, FLEET_KEY_HOST, name, NULL);
	const struct fleet_member member = {};
	const struct etcd_compare compare = {.key = fleet_key_text(fleet, FLEET_KEY_HOST, name, NULL, host_key),
					     .target = ETCD_MOD,
					     .number = host ? host->mod_revision : 0};
	const struct etcd_operation then[] = {
		{.type = ETCD_PUT, .key = host_key, .value = NOTHING_DONE, .lease = fleet->lease},
		{.type = ETCD_PUT,
		 .key = fleet_key_text(fleet, FLEET_KEY_MEMBER, name, NULL, member_key),
		 .value = fleet_format_member(&member, member_text)},
	};
	const struct etcd_txn txn = {
		.compares = &compare,
		.compare_count = 1,
		.then = then,
		.then_count = mirror_find(&fleet->mirror, FLEET_KEY_MEMBER, name, NULL) ? 1 : 2,
	};

	return etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_entered, fleet, NULL, error);
}

static void on_granted(const struct etcd_result *result, void *arg)
{
	struct fleet *fleet = arg;
	struct error error;

	fleet->asking = false;
	if (result->error)
		return;
	fleet->lease = result->lease;
	fleet->asking = !enter(fleet, &error);
	if (!fleet->asking)
		log_warning("fleet: %s", error.text);
}

static void on_renewed(const struct etcd_result *result, void *arg)
{
	struct fleet *fleet = arg;

	fleet->asking = false;
	if (result->error == -ENOENT) {
		log_warning("fleet: %s", result->sentence);
		fleet_host_lost_lease(&fleet->host);
	} else if (!result->error) {
		fleet_host_renewed(&fleet->host, fleet->asked_ms, fleet_now_ms(), result->revision);
	}
	fleet_run(fleet);
	fleet_agent_renew(fleet);
}

void fleet_lease_run(struct fleet *fleet)
{
	__s64 now = fleet_now_ms();
	struct error error;
	int err;

	if (fleet->asking)
		return;
	if (fleet_host_must_grant(&fleet->host, now))
		err = etcd_lease_grant(fleet->etcd, fleet->terms.lease, FLEET_CALL_MS, on_granted, fleet, NULL, &error);
	else if (fleet_host_must_renew(&fleet->host, now))
		err = etcd_lease_keepalive(fleet->etcd, fleet->lease, FLEET_CALL_MS, on_renewed, fleet, NULL, &error);
	else
		return;
	if (err)
		log_warning("fleet: %s", error.text);
	fleet->asking = !err;
	fleet->asked_ms = now;
}
