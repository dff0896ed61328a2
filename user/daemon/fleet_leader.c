/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads a fleet, and what the leader makes of its records. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_private.h"
#include "daemon/log.h"

static const struct mirror_entry *leader_of(const struct fleet *fleet)
{
	return mirror_find(&fleet->mirror, FLEET_KEY_LEADER, NULL, NULL);
}

bool fleet_leads(const struct fleet *fleet)
{
	const struct mirror_entry *leader = leader_of(fleet);

	return leader && leader->lease == fleet->lease && !strcmp(leader->value, fleet->settings.name) &&
	       !fleet_is_cut_off(fleet);
}

static void on_campaigned(const struct etcd_result *result, void *arg)
{
	struct fleet *fleet = arg;

	fleet->campaigning = false;
	if (!result->error && result->succeeded)
		log_notice("fleet: %s leads", fleet->settings.name);
}

static void campaign(struct fleet *fleet)
{
	char key[FLEET_KEY_LEN];
	const struct etcd_compare nobody = {.key = fleet_key_text(fleet, FLEET_KEY_LEADER, NULL, NULL, key),
					    .target = ETCD_CREATE};
	const struct etcd_operation lead = {
		.type = ETCD_PUT, .key = key, .value = fleet->settings.name, .lease = fleet->lease};
	const struct etcd_txn txn = {.compares = &nobody, .compare_count = 1, .then = &lead, .then_count = 1};
	struct error error;

	if (fleet->campaigning || fleet_is_cut_off(fleet) || leader_of(fleet))
		return;
	fleet->campaigning = !etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_campaigned, fleet, NULL, &error);
}

/* ---- what is known of the hosts ---- */

static const char *name_at(const struct mirror_entry *member, const struct mirror_entry *host)
{
	if (!host || (member && strcmp(member->key.part[0], host->key.part[0]) <= 0))
		return member->key.part[0];
	return host->key.part[0];
}

static void take_report(const struct mirror_entry *host, const char *service, struct fleet_peer *peer,
			struct fleet_exception *exception)
{
	*exception = (struct fleet_exception){};
	peer->alive = true;
	if (fleet_parse_report(host->value, service, &peer->done, exception))
		return;
	peer->undone = exception->revision;
	peer->refusal = exception->refusal;
}

/* Members and those who are alive, both in the order of names. *ret and *ret_exceptions to be freed. */
static size_t list_peers(const struct fleet *fleet, const char *service, struct fleet_peer **ret,
			 struct fleet_exception **ret_exceptions)
{
	const struct mirror *mirror = &fleet->mirror;
	const struct mirror_entry *member = mirror_first(mirror, FLEET_KEY_MEMBER, NULL);
	const struct mirror_entry *host = mirror_first(mirror, FLEET_KEY_HOST, NULL);
	size_t room = mirror_count(mirror, FLEET_KEY_MEMBER) + mirror_count(mirror, FLEET_KEY_HOST) + 1, count = 0;
	struct fleet_peer *peers = calloc(room, sizeof(*peers));
	struct fleet_exception *exceptions = calloc(room, sizeof(*exceptions));

	*ret = peers;
	*ret_exceptions = exceptions;
	while (peers && exceptions && (member || host)) {
		struct fleet_peer *peer = &peers[count];
		struct fleet_member about = {};

		peer->name = name_at(member, host);
		if (member && peer->name == member->key.part[0]) {
			peer->member = true;
			fleet_parse_member(member->value, &about);
			peer->withdraws = about.withdraws;
		}
		if (host && !strcmp(host->key.part[0], peer->name)) {
			take_report(host, service, peer, &exceptions[count]);
			host = mirror_next(mirror, host, NULL);
		}
		if (peer->member)
			member = mirror_next(mirror, member, NULL);
		count++;
	}
	return count;
}

static size_t count_held(const struct fleet *fleet, const char *service)
{
	size_t count = 0;

	for (const struct mirror_entry *entry = mirror_first(&fleet->mirror, FLEET_KEY_HELD, service); entry;
	     entry = mirror_next(&fleet->mirror, entry, service))
		count++;
	return count;
}

enum fleet_decision fleet_leader_decide(const struct fleet *fleet, const struct fleet_service *service,
					struct fleet_record *ret, struct error *reason)
{
	struct error ignored;
	const struct service_model *config =
		fleet_config(fleet, (struct fleet_service *)service, service->record.now.config, &ignored);
	struct service_model usual = service_defaults();
	struct fleet_exception *exceptions;
	struct fleet_peer *peers;
	size_t count = list_peers(fleet, service->name, &peers, &exceptions);
	const struct fleet_question question = {
		.record = &service->record,
		.revision = service->revision,
		.peers = peers,
		.peer_count = count,
		.held = count_held(fleet, service->name),
		.missing = fleet->terms.wait ? FLEET_MISSING_WAIT : FLEET_MISSING_GO_ON,
		.idle_ms = service_idle_timeout(config ? config : &usual) * 1000LL,
		.max_window_ms = service_max_window(config ? config : &usual) * 1000LL,
		.prepare_ms = fleet->terms.prepare * 1000LL,
		.now_ms = fleet_now_ms(),
		.seen_ms = service->seen_ms,
		.quiet_ms = service->quiet_ms > fleet->members_ms ? service->quiet_ms : fleet->members_ms,
		.window_ms = service->window_ms,
	};
	enum fleet_decision decision = fleet_decide(&question, ret, reason);

	free(peers);
	free(exceptions);
	return decision;
}

/* ---- what is written ---- */

static void on_written(const struct etcd_result *result, void *arg)
{
	struct fleet_service *service = arg;

	/* What did not come to be is decided anew, by what holds then. */
	service->writing = false;
	if (result->error)
		log_warning("fleet: %s: %s", service->name, result->sentence);
}

static int write_record(struct fleet *fleet, struct fleet_service *service, const struct fleet_record *record,
			struct error *error)
{
	struct fleet_write write;
	int err = fleet_write_record(fleet->settings.prefix, service->name, record, service->revision,
				     leader_of(fleet)->create_revision, &write);
	const struct etcd_compare compares[] = {
		{.key = write.key, .target = ETCD_MOD, .number = write.mod_revision},
		{.key = write.leader_key, .target = ETCD_CREATE, .number = write.leader_revision},
	};
	const struct etcd_operation put = {.type = ETCD_PUT, .key = write.key, .value = write.value};
	const struct etcd_txn txn = {.compares = compares, .compare_count = 2, .then = &put, .then_count = 1};

	if (err)
		return fail(error, err, "the record cannot be written");
	return etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_written, service, NULL, error);
}

static void lead(struct fleet *fleet, struct fleet_service *service)
{
	struct fleet_record record;
	struct error reason = {}, error;
	enum fleet_decision decision = fleet_leader_decide(fleet, service, &record, &reason);

	if (decision == FLEET_WAITS)
		return;
	if (decision == FLEET_ABORTS)
		log_warning("fleet: the change of %s is taken back: %s", service->name, reason.text);
	else
		log_info("fleet: %s becomes %s", service->name, fleet_phase_name(record.phase));
	service->writing = !write_record(fleet, service, &record, &error);
	if (!service->writing)
		log_warning("fleet: %s: %s", service->name, error.text);
}

void fleet_leader_run(struct fleet *fleet)
{
	campaign(fleet);
	if (!fleet_leads(fleet))
		return;
	for (size_t i = 0; i < fleet->service_count; i++) {
		struct fleet_service *service = fleet->services[i];

		if (service->revision && service->record.phase != FLEET_SETTLED && !service->writing)
			lead(fleet, service);
	}
}
