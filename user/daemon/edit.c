/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/edit.h"

#include <errno.h>

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

void edit_end(struct edit *edit)
{
	model_free(&edit->actual);
	model_free(&edit->desired);
	dataplane_close(edit->dataplane);
}
