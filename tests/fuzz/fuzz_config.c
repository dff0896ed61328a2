/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's reader, from bytes to a validated model: what is refused says why in one line, what is accepted is
 * valid, and its plans are written as text that means the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/validate.h"
#include "fuzz/fuzz.h"
#include "io/config.h"
#include "io/plan_json.h"

static int file = -1;
static char path[64];

static void write_file(const __u8 *data, size_t size)
{
	if (file < 0) {
		file = memfd_create("config", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	}
	if (ftruncate(file, 0) || pwrite(file, data, size, 0) != (ssize_t)size)
		fuzz_fail("cannot write the file");
}

static void check_plan(const struct rollout_plan *plan)
{
	json_t *written = plan_json(plan), *again;
	char *text = json_dumps(written, 0);
	struct rollout_plan read;
	struct error error;

	if (!text || plan_parse("plan", text, &read, &error))
		fuzz_fail("%s is not taken back: %s", text, error.text);
	again = plan_json(&read);
	if (!json_equal(written, again))
		fuzz_fail("%s comes back as another plan", text);
	free(text);
	json_decref(written);
	json_decref(again);
}

static void check_model(struct model *model)
{
	struct problem problem;

	if (validate_model(model, &problem))
		fuzz_fail("accepted, but %s: %s", problem.path, problem.text);
	for (size_t i = 0; i < model->service_count; i++)
		if (model->services[i].rollout)
			check_plan(model->services[i].rollout);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct error error = {};
	struct model model;
	int err;

	write_file(data, size);
	err = config_load(path, &model, &error);
	fuzz_check_error(err, &error);
	if (!err) {
		check_model(&model);
		model_free(&model);
	}
	/* The same, or a plan alone: as the commands that take either read it. */
	err = config_or_plan_load(path, "web", &model, &error);
	fuzz_check_error(err, &error);
	if (!err) {
		for (size_t i = 0; i < model.service_count; i++)
			if (model.services[i].rollout)
				check_plan(model.services[i].rollout);
		model_free(&model);
	}
	return 0;
}
