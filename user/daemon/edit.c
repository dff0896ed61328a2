/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/edit.h"

#include <errno.h>

#include "core/overflow.h"
#include "core/text.h"
#include "core/validate.h"
#include "daemon/log.h"

int edit_begin(struct edit *edit, const struct instance *instance, const char *service, enum dataplane_access access,
	       struct error *error)
{
	int err;

	*edit = (struct edit){.instance = instance};
	err = dataplane_open(instance->dir, access, &edit->dataplane, error);
	if (!err)
		err = dataplane_read(edit->dataplane, service, &edit->actual, error);
	if (!err && model_copy(&edit->actual, &edit->desired))
		err = fail(error, -ENOMEM, "out of memory");
	if (!err)
		edit->service = edit->desired.services;
	return err;
}

int edit_commit(struct edit *edit, struct error *error)
{
	struct problem problem = {.text = "out of memory"};
	struct error warning;
	int err = validate_running(&edit->desired, &problem);

	if (err)
		return fail(error, err, "%s", problem.text);
	err = dataplane_commit(edit->dataplane, &edit->actual, &edit->desired, error);
	if (!err && state_save(edit->instance, edit->dataplane, &warning))
		log_warning("%s", warning.text);
	return err;
}

void edit_log_overflows(const struct edit *edit)
{
	const struct service_model *before = edit->actual.services, *after = edit->service;

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct overflow overflow;
		bool was = service_overflows(before, cohort, &overflow);
		bool is = service_overflows(after, cohort, &overflow);

		if (is && !was)
			log_warning("%s: no backend of %s is left that takes new flows: its share %s", after->name,
				    cohort_name(cohort),
				    overflow.dropped ? "is dropped" : "overflows to the other cohort");
		else if (was && !is)
			log_notice("%s: %s has a backend again: its share overflows no longer", after->name,
				   cohort_name(cohort));
	}
}

void edit_end(struct edit *edit)
{
	model_free(&edit->actual);
	model_free(&edit->desired);
	dataplane_close(edit->dataplane);
}
