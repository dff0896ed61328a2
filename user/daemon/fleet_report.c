/* SPDX-License-Identifier: Apache-2.0 */
/* What this host says of itself: up to which revision it has done everything, and what not. */
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_private.h"
#include "daemon/log.h"

#define REPORT_MIN 4096

static void on_reported(const struct etcd_result *result, void *arg)
{
	struct fleet *fleet = arg;

	(void)result; /* what did not come to be is seen by what etcd has */
	fleet->reporting = false;
}

static size_t list_exceptions(const struct fleet *fleet, struct fleet_exception *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < fleet->service_count; i++) {
		const struct fleet_service *service = fleet->services[i];
		struct fleet_exception *exception = &ret[count];

		if (!service->revision || !service->undone)
			continue;
		*exception = (struct fleet_exception){.revision = service->revision};
		memcpy(exception->service, service->name, sizeof(exception->service));
		memcpy(exception->refusal, service->refusal, sizeof(exception->refusal));
		count++;
	}
	return count;
}

/* To be freed. NULL without memory. */
static char *format_report(const struct fleet *fleet, __s64 done)
{
	struct fleet_exception *exceptions = calloc(fleet->service_count + 1, sizeof(*exceptions));
	size_t count = exceptions ? list_exceptions(fleet, exceptions) : 0;
	size_t size = REPORT_MIN + count * sizeof(*exceptions);
	char *text = exceptions ? malloc(size) : NULL;

	if (text)
		fleet_format_report(done, exceptions, count, text, size);
	free(exceptions);
	return text;
}

/* The newest of the records: what comes behind it is no service's. */
static __s64 newest_record(const struct fleet *fleet)
{
	__s64 newest = 1;

	for (size_t i = 0; i < fleet->service_count; i++) {
		if (fleet->services[i]->revision > newest)
			newest = fleet->services[i]->revision;
	}
	return newest;
}

/* In place of the one before: one that was long on its way brings nothing old back. */
static int write_report(struct fleet *fleet, const struct mirror_entry *before, const char *report, struct error *error)
{
	char key[FLEET_KEY_LEN];
	const struct etcd_compare compare = {
		.key = fleet_key_text(fleet, FLEET_KEY_HOST, fleet->settings.name, NULL, key),
		.target = ETCD_MOD,
		.number = before->mod_revision,
	};
	const struct etcd_operation put = {.type = ETCD_PUT, .key = key, .value = report, .lease = fleet->lease};
	const struct etcd_txn txn = {.compares = &compare, .compare_count = 1, .then = &put, .then_count = 1};

	return etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_reported, fleet, NULL, error);
}

void fleet_report(struct fleet *fleet)
{
	const struct mirror_entry *before = mirror_find(&fleet->mirror, FLEET_KEY_HOST, fleet->settings.name, NULL);
	__s64 done = newest_record(fleet);
	struct error error;
	char *text;

	if (fleet->reporting || fleet_is_cut_off(fleet) || !before)
		return;
	text = format_report(fleet, done);
	if (!text || !strcmp(before->value, text)) {
		free(text);
		return;
	}
	fleet->reporting = !write_report(fleet, before, text, &error);
	if (!fleet->reporting)
		log_warning("fleet: %s", error.text);
	free(text);
}
