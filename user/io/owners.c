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
	const struct owner *owner = find(owners, service);

	return owner && !owner->finished ? owner : NULL;
}

bool owners_have_finished(const struct owners *owners, const char *service)
{
	const struct owner *owner = find(owners, service);

	return owner && owner->finished;
}

static int set(struct owners *owners, const struct owner *wanted, bool *ret_changed)
{
	struct owner *owner = find(owners, wanted->service);

	*ret_changed = !owner || owner->weight != wanted->weight || owner->guards != wanted->guards ||
		       owner->finished != wanted->finished;
	if (!owner) {
		struct owner *grown = reallocarray(owners->owners, owners->count + 1, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		owners->owners = grown;
		owner = &grown[owners->count++];
	}
	*owner = *wanted;
	return 0;
}

int owners_take(struct owners *owners, const char *service, int weight, unsigned guards, bool *ret_changed)
{
	struct owner wanted = {.weight = weight, .guards = guards};

	snprintf(wanted.service, sizeof(wanted.service), "%s", service);
	return set(owners, &wanted, ret_changed);
}

int owners_finish(struct owners *owners, const char *service, bool *ret_changed)
{
	struct owner wanted = {.finished = true};

	snprintf(wanted.service, sizeof(wanted.service), "%s", service);
	return set(owners, &wanted, ret_changed);
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

static const char *const guard_names[GUARD_SETTING_COUNT] = {
#define X(part, key, type, member) [GUARD_SETTING_##member] = #part "." #key,
	GUARD_SETTINGS(X)
#undef X
};

static unsigned unpack_guards(const json_t *names)
{
	unsigned guards = 0;
	json_t *name;
	size_t i;

	json_array_foreach (names, i, name) {
		for (int which = 0; which < GUARD_SETTING_COUNT; which++) {
			if (json_is_string(name) && !strcmp(json_string_value(name), guard_names[which]))
				guards |= 1U << which;
		}
	}
	return guards;
}

static json_t *pack_guards(unsigned guards)
{
	json_t *names = json_array();

	for (int which = 0; which < GUARD_SETTING_COUNT; which++) {
		if (guards & 1U << which)
			json_array_append_new(names, json_string(guard_names[which]));
	}
	return names;
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
		bool finished = json_is_true(json_object_get(owner, "finished"));

		if (!err && (finished ? owners_finish(ret, name, &changed)
				      : owners_take(ret, name, (int)lround(weight * 100),
						    unpack_guards(json_object_get(owner, "guards")), &changed)))
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

	for (size_t i = 0; i < owners->count; i++) {
		const struct owner *owner = &owners->owners[i];

		json_object_set_new(services, owner->service,
				    owner->finished ? json_pack("{s:b}", "finished", true)
						    : json_pack("{s:f, s:o}", "weight", owner->weight / 100.0, "guards",
								pack_guards(owner->guards)));
	}
	return json_pack("{s:i, s:o}", "format", 1, "services", services);
}

int owners_save(const char *path, const struct owners *owners, struct error *error)
{
	return json_file_save(path, owners->count ? pack(owners) : NULL, error);
}
