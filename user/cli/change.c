/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "canary/select.h"
#include "cli/change.h"
#include "cli/output.h"
#include "ops/state.h"
#include "core/text.h"
#include "core/validate.h"

static int no_service(const char *service, struct error *error)
{
	if (service)
		return fail(error, -ENOENT,
			    "there is no service \"%s\": there is none yet; add one with canaryctl apply or service "
			    "add",
			    service);
	return fail(error, -ENOENT, "there is no service yet: add one with canaryctl apply or service add");
}

int change_begin(struct change *change, const struct cli *cli, enum dataplane_access access, const char *service,
		 struct error *error)
{
	int err;

	*change = (struct change){.cli = cli};
	err = dataplane_open(cli->dir, access, &change->dataplane, error);
	if (err == -ENOENT)
		return no_service(service, error);
	if (!err)
		err = dataplane_read(change->dataplane, service, &change->actual, error);
	if (err)
		return err;
	if (model_copy(&change->actual, &change->desired))
		return fail(error, -ENOMEM, "out of memory");
	return 0;
}

int change_commit_unchecked(struct change *change, struct error *error)
{
	const struct instance instance = {change->cli->dir, change->cli->key_file};
	int err = dataplane_commit(change->dataplane, &change->actual, &change->desired, error);

	struct error warning;

	if (!err && state_save(&instance, change->dataplane, &warning))
		print_warning(change->cli, "%s", warning.text);
	return err;
}

int change_commit(struct change *change, struct error *error)
{
	struct problem problem = {.text = "out of memory"};
	int err = validate_running(&change->desired, &problem);

	return err ? fail(error, err, "%s", problem.text) : change_commit_unchecked(change, error);
}

void change_end(struct change *change)
{
	model_free(&change->actual);
	model_free(&change->desired);
	dataplane_close(change->dataplane);
}

struct service_model *pick_service(const struct model *model, const char *name, struct error *error)
{
	struct service_model *service;
	char names[512] = "";
	size_t at = 0;

	if (name) {
		service = model_find_service(model, name);
		if (!service)
			fail(error, -ENOENT, "there is no service \"%s\": see canaryctl service list", name);
		return service;
	}
	if (model->service_count == 1)
		return model->services;
	if (!model->service_count) {
		no_service(NULL, error);
		return NULL;
	}
	for (size_t i = 0; i < model->service_count && at < sizeof(names) - CANARY_NAME_LEN - 8; i++)
		at += snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "", model->services[i].name);
	if (at >= sizeof(names) - CANARY_NAME_LEN - 8)
		snprintf(names + at, sizeof(names) - at, ", ...");
	fail(error, -EINVAL, "there are %zu services: say which (%s)", model->service_count, names);
	return NULL;
}

int read_running(const struct cli *cli, const char *service, struct dataplane **ret_dataplane, struct model *ret,
		 struct error *error)
{
	struct dataplane *dataplane;
	int err = dataplane_open(cli->dir, DATAPLANE_READ, &dataplane, error);

	if (err == -ENOENT && service)
		return no_service(service, error);
	if (err == -ENOENT) {
		*ret_dataplane = NULL;
		*ret = (struct model){};
		return 0;
	}
	if (err)
		return err;
	err = dataplane_read(dataplane, service, ret, error);
	if (err) {
		dataplane_close(dataplane);
		return err;
	}
	*ret_dataplane = dataplane;
	return 0;
}

json_t *service_epoch(const struct service_model *service)
{
	return json_pack("{s:o, s:I}", "service", json_text(service->name), "epoch",
			 (json_int_t)canary_word_epoch(service->word));
}

const char *format_weight(int weight, char buf[WEIGHT_TEXT_LEN])
{
	if (weight % 100 == 0)
		snprintf(buf, WEIGHT_TEXT_LEN, "%d%%", weight / 100);
	else if (weight % 10 == 0)
		snprintf(buf, WEIGHT_TEXT_LEN, "%d.%d%%", weight / 100, weight / 10 % 10);
	else
		snprintf(buf, WEIGHT_TEXT_LEN, "%d.%02d%%", weight / 100, weight % 100);
	return buf;
}

int argument_cohort(const char *text, enum canary_cohort *ret, struct error *error)
{
	if (parse_cohort(text, ret))
		return fail(error, CLI_USAGE, "\"%s\" is no cohort: %s", text, cohort_names());
	return 0;
}

/* What both forms of an address may be refused for. */
static int not_an_address(const char *text, int err, const char *forms, struct error *error)
{
	if (err == -EAFNOSUPPORT)
		return fail(error, CLI_USAGE, "\"%s\" is an IPv4 address written as IPv6: write it as IPv4", text);
	return fail(error, CLI_USAGE, "\"%s\" is not %s", text, forms);
}

int argument_endpoint(const char *text, struct canary_addr *ret_addr, int *ret_port, struct error *error)
{
	int err = parse_endpoint(text, ret_addr, ret_port);

	return err ? not_an_address(text, err, "an address: write 10.0.0.1, 10.0.0.1:80 or [2001:db8::1]:80", error)
		   : 0;
}

int argument_prefix(const char *text, struct canary_addr *ret_addr, unsigned *ret_len, struct error *error)
{
	int err = parse_prefix(text, ret_addr, ret_len);

	if (err == -ERANGE)
		return fail(error, CLI_USAGE, "\"%s\" has bits set beyond the prefix's length: make them zero", text);
	return err ? not_an_address(text, err, "a prefix: write 198.51.100.0/24 or 2001:db8::/32", error) : 0;
}

int argument_lease(const char *text, unsigned *ret, struct error *error)
{
	if (parse_duration(text, 1, LEASE_MAX, ret))
		return fail(error, CLI_USAGE, "--lease is 1s to 12h, as in 30, 30s or 5m, not \"%s\"", text);
	return 0;
}
