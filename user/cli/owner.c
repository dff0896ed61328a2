/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>

#include "cli/output.h"
#include "cli/owner.h"
#include "cli/view.h"
#include "ops/state.h"

static int path_of(const struct cli *cli, char path[PATH_MAX], struct error *error)
{
	const struct instance instance = {cli->dir, cli->key_file};

	return instance_file(&instance, OWNERS_FILE, path, error);
}

int owner_read(const struct cli *cli, struct owners *ret, struct error *error)
{
	char path[PATH_MAX];
	int err = path_of(cli, path, error);

	*ret = (struct owners){};
	return err ? err : owners_load(path, ret, error);
}

int owner_refuse_deletion(const char *service, struct error *error)
{
	return fail(
		error, -EBUSY,
		"this would delete %s, whose weight belongs to its rollout, see canaryctl rollout status: finish it or "
		"roll back with canaryctl rollout rollback, or give --force",
		service);
}

void owner_override(const struct cli *cli, struct owners *owners, const char *service, int weight)
{
	struct error error;
	char path[PATH_MAX];
	const struct owner *owner = owners_find(owners, service);
	bool changed;
	int err;

	if (!owner)
		return;
	if (!weight)
		owners_leave(owners, service);
	else if (owners_take(owners, service, weight, owner->guards, &changed))
		must(NULL);
	err = path_of(cli, path, &error);
	if (!err)
		err = owners_save(path, owners, &error);
	if (err)
		print_warning(cli, "%s", error.text);
}

void owner_disown(const struct cli *cli, const struct service_model *services, size_t count)
{
	struct owners owners;
	struct error error;

	if (owner_read(cli, &owners, &error))
		print_warning(cli, "%s", error.text);
	for (size_t i = 0; i < count; i++)
		owner_override(cli, &owners, services[i].name, 0);
	owners_free(&owners);
}

void owner_show(const struct cli *cli, json_t *services)
{
	struct owners owners;
	struct error error;
	json_t *view;
	size_t i;

	if (owner_read(cli, &owners, &error))
		print_warning(cli, "%s", error.text);
	json_array_foreach (services, i, view) {
		const struct owner *owner = owners_find(&owners, text_of(view, "name"));

		json_object_set_new(view, "rollout", json_boolean(owner));
		if (owner)
			json_object_set_new(view, "weight", json_real(owner->weight / 100.0));
	}
	owners_free(&owners);
}
