/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary/select.h"
#include "model/change.h"

#define GRACE_NS 50000000ULL /* as user space: packets that are on their way may still read a record */

static __u32 made;
static __u32 retired;

__u32 changes_made(void)
{
	return made;
}

__u32 changes_retired(void)
{
	return retired;
}

/* A record that nobody reads, and that is not `taken`. */
static int free_slot(const struct canary_service *service, int taken)
{
	__u64 word = service->word;

	for (int slot = 0; slot < CANARY_CONFIGS; slot++)
		if (slot != taken && slot != (int)canary_word_now(word) && slot != (int)canary_word_oldest(word) &&
		    (!service->retired_ns[slot] || shim_now_ns - service->retired_ns[slot] >= GRACE_NS))
			return slot;
	return -1;
}

static void change_segments(struct canary_config *config)
{
	struct canary_addr addr = world_addr(0xc0000000 + pick(8) * 4);

	config->segment_set = one_in(3) ? 0 : ++datapath_settings()->next_segment_set;
	if (!config->segment_set)
		return;
	datapath_segment(config->segment_set, &addr, 126, pick(2));
	addr = world_addr(0xc0000000 + pick(32));
	datapath_segment(config->segment_set, &addr, 128, pick(2));
}

/* Changes a member of the cohort. The index of one that is to be retired, or 0. */
static __u32 change_member(__u32 service, __u32 cohort)
{
	struct world_member *member = &world_members[service][cohort][pick(WORLD_MEMBERS)];
	__u32 index = member->index;

	if (!index) {
		world_add_member(service, cohort, member);
		return 0;
	}
	if (one_in(2)) {
		member->draining = !member->draining;
		return 0;
	}
	*member = (struct world_member){};
	return index;
}

static bool is_assignment(enum change_kind kind)
{
	return kind == CHANGE_SALT || kind == CHANGE_WEIGHT;
}

static void change_record(struct change *change)
{
	static const __u32 weights[] = {0, 1000, 5000, CANARY_WEIGHT_ONE};
	struct canary_config *config = datapath_config(change->service, change->slot);
	__u32 cohort = pick(2);

	switch (change->kind) {
	case CHANGE_SALT:
		config->salt = shim_random();
		break;
	case CHANGE_MEMBER:
		change->retired = change_member(change->service, cohort);
		/* fall through */
	case CHANGE_RING:
		world_build_ring(change->service, change->slot, cohort);
		break;
	case CHANGE_SEGMENTS:
		change_segments(config);
		break;
	case CHANGE_OVERFLOW:
		config->overflow = pick(CANARY_OVERFLOWS);
		break;
	case CHANGE_BREAKER:
		config->breaker = !one_in(4);
		config->cap = one_in(4) ? 0 : 1000 + pick(9000);
		config->handshake_timeout = 1000 + pick(3000);
		break;
	case CHANGE_EXPIRY:
		config->on_expiry = pick(CANARY_EXPIRIES);
		break;
	case CHANGE_WEIGHT:
		config->weight = weights[pick(4)];
	}
	if (is_assignment(change->kind))
		world_assign(change->service, config);
	world_derive(config);
}

static void operation(struct change *change, enum canary_operation_type type, __u32 id, __u64 word)
{
	change->operations[change->count++] = (struct canary_operation){
		.type = type, .id = id, .expected = canary_word_epoch(change->before), .word = word};
}

/* A record that says without a view what the stopped one means. */
static void materialise(struct change *change, __u32 slot, enum mutant mutant)
{
	struct canary_config *config;

	world_copy_record(change->service, canary_word_now(change->before), slot);
	config = datapath_config(change->service, slot);
	if (mutant != MUTANT_MATERIALISE_KEEPS_THRESHOLD)
		config->threshold = 0;
	memset(config->watched, 0, sizeof(config->watched));
	memset(config->step, 0, sizeof(config->step));
}

bool change_prepare(__u32 id, enum mutant mutant, struct change *ret)
{
	static const enum change_kind kinds[] = {CHANGE_SALT,	  CHANGE_RING,	   CHANGE_MEMBER,  CHANGE_MEMBER,
						 CHANGE_SEGMENTS, CHANGE_OVERFLOW, CHANGE_BREAKER, CHANGE_EXPIRY,
						 CHANGE_WEIGHT,	  CHANGE_WEIGHT,   CHANGE_WEIGHT};
	const struct canary_service *service = datapath_service(id);
	__u64 word = service->word;
	bool stopped = word & CANARY_WORD_STOPPED;
	__u64 oldest = 0;
	int slot = free_slot(service, -1), other = free_slot(service, slot);

	*ret = (struct change){
		.service = id, .kind = kinds[pick(sizeof(kinds) / sizeof(kinds[0]))], .before = word, .slot = slot};
	if (slot < 0 || other < 0)
		return false;
	memcpy(ret->members, world_members[id], sizeof(ret->members));
	if (stopped) {
		materialise(ret, other, mutant);
		oldest = CANARY_CHANGE_OLDEST(other);
	}
	world_copy_record(id, canary_word_now(word), slot);
	change_record(ret);
	if (stopped && !is_assignment(ret->kind) && mutant != MUTANT_CHANGE_FORGETS_STOP)
		operation(ret, CANARY_OP_CHANGE, id, oldest | slot | CANARY_VIEW_STOPPED);
	else
		operation(ret, CANARY_OP_CHANGE, id, oldest | slot);
	if (ret->retired)
		operation(ret, CANARY_OP_RETIRE_BACKEND, ret->retired, 0);
	return true;
}

/* The kernel came in between: what was prepared is not in force. */
static void undo(const struct change *change)
{
	const struct world_member *now = world_members[change->service][0], *before = change->members[0];

	for (__u32 i = 0; i < CANARY_COHORTS * WORLD_MEMBERS; i++)
		if (now[i].index && !before[i].index)
			datapath_backend(now[i].index)->flags = 0;
	memcpy(world_members[change->service], change->members, sizeof(change->members));
}

/* What the mutants do to a change that was made. */
static void spoil(struct canary_service *service, __u64 before, enum mutant mutant, bool trip)
{
	__u64 oldest = (__u64)canary_word_now(before) << CANARY_WORD_OLDEST_SHIFT;

	if (mutant == MUTANT_OLDEST_REPLACED && before & CANARY_WORD_OPEN)
		service->word = (service->word & ~(CANARY_WORD_SLOT_MASK << CANARY_WORD_OLDEST_SHIFT)) | oldest;
	if (mutant == MUTANT_CHANGE_NO_WINDOW || (mutant == MUTANT_TRIP_NO_WINDOW && trip))
		service->word =
			(service->word & ~(CANARY_WORD_OPEN | CANARY_WORD_SLOT_MASK << CANARY_WORD_OLDEST_SHIFT)) |
			(__u64)canary_word_now(service->word) << CANARY_WORD_OLDEST_SHIFT;
	if (mutant == MUTANT_WINDOW_TOO_SHORT && service->changed_ns > WORLD_IDLE_NS / 2)
		service->changed_ns -= WORLD_IDLE_NS / 2;
}

void change_finish(const struct change *change, int error, const struct model_options *options)
{
	struct canary_service *service = datapath_service(change->service);

	if (options->trace)
		printf("  service %u change %u: slot %u, oldest %u, word %llx -> %llx, threshold %u, retired %u: %d\n",
		       change->service, change->kind, change->slot, canary_word_oldest(service->word),
		       (unsigned long long)change->before, (unsigned long long)service->word,
		       datapath_config(change->service, change->slot)->threshold, change->retired, error);
	if (error) {
		if (error != -ESTALE)
			abort();
		undo(change);
		return;
	}
	made++;
	retired += change->retired != 0;
	if (change->retired && options->mutant == MUTANT_GENERATION_IGNORED)
		datapath_backend(change->retired)->generation--;
	if (options->mutant == MUTANT_CHANGE_FORGETS_STOP && !is_assignment(change->kind))
		service->word &= ~CANARY_WORD_STOPPED;
	spoil(service, change->before, options->mutant, false);
}

void change_trip(__u32 id, const struct model_options *options)
{
	struct canary_service *service = datapath_service(id);
	__u64 before = service->word;

	if (!datapath_trip(id))
		return;
	spoil(service, before, options->mutant, true);
	if (options->trace)
		printf("  service %u trips: word %llx -> %llx\n", id, (unsigned long long)before,
		       (unsigned long long)service->word);
}

void change_renew_lease(__u32 id)
{
	const struct canary_config *config = datapath_config(id, canary_word_now(datapath_service(id)->word));
	struct canary_guard *guard = datapath_guard(id);

	guard->renewed_ns = shim_now_ns + pick(20) * WORLD_SECOND_NS;
	guard->renewed_assignment = config->assignment;
}

void change_restore(enum mutant mutant)
{
	for (__u32 id = 1; id <= WORLD_SERVICES; id++) {
		struct canary_service *service = datapath_service(id);

		service->flows = 0;
		service->changed_ns = service->opened_ns = shim_now_ns;
		service->skipped_ns = service->closing_epoch = 0;
		if (mutant == MUTANT_REBOOT_LOSES_OLDEST)
			spoil(service, service->word, MUTANT_CHANGE_NO_WINDOW, false);
	}
	if (mutant == MUTANT_REBOOT_NEW_KEYS)
		datapath_keys()->slot = shim_random();
}
