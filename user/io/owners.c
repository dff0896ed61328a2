/* SPDX-License-Identifier: Apache-2.0 */
#include "io/owners.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/json_file.h"

void owners_free(struct owners *owners)
{
	free(owners->owners);
	*owners = (struct owners){};
}

static struct owner *find(const struct owners *owners, const char *service)
{
	for (size_t i = 0; i < owners->count; i++) {
		if (!strcmp(owners->owners[i].service, service))
			return &owners->owners[i];
	}
	return NULL;
}

const struct owner *owners_find(const struct owners *owners, const char *service)
{
	return find(owners, service);
}

int owners_take(struct owners *owners, const char *service, int weight, bool *ret_changed)
{
	struct owner *owner = find(owners, service);

	*ret_changed = !owner || owner->weight != weight;
	if (!owner) {
		struct owner *grown = reallocarray(owners->owners, owners->count + 1, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		owners->owners = grown;
		owner = &grown[owners->count++];
		snprintf(owner->service, sizeof(owner->service), "%s", service);
	}
	owner->weight = weight;
	return 0;
}

bool owners_leave(struct owners *owners, const char *service)
{
	struct owner *owner = find(owners, service);

	if (owner)
		*owner = owners->owners[--owners->count];
	return owner;
}

static int unreadable(const char *path, struct error *error)
{
	return fail(error, -EINVAL, "%s: is damaged: remove it, and no weight is a rollout's until canaryd runs again",
		    path);
}

int owners_load(const char *path, struct owners *ret, struct error *error)
{
	json_t *root, *owner;
	FILE *file = fopen(path, "re");
	const char *name;
	bool changed;
	int err = 0;

	*ret = (struct owners){};
	if (!file)
		return errno == ENOENT ? 0 : fail(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
	root = json_loadf(file, 0, NULL);
	fclose(file);
	if (!json_is_object(json_object_get(root, "services")))
		err = unreadable(path, error);
	json_object_foreach (json_object_get(root, "services"), name, owner) {
		double weight = json_number_value(json_object_get(owner, "weight"));

		if (!err && owners_take(ret, name, (int)lround(weight * 100), &changed))
			err = fail(error, -ENOMEM, "out of memory");
	}
	json_decref(root);
	if (err)
		owners_free(ret);
	return err;
}

static json_t *pack(const struct owners *owners)
{
	json_t *services = json_object();

	for (size_t i = 0; i < owners->count; i++)
		json_object_set_new(services, owners->owners[i].service,
				    json_pack("{s:f}", "weight", owners->owners[i].weight / 100.0));
	return json_pack("{s:i, s:o}", "format", 1, "services", services);
}

int owners_save(const char *path, const struct owners *owners, struct error *error)
{
	return json_file_save(path, owners->count ? pack(owners) : NULL, error);
}
