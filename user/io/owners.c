/* SPDX-License-Identifier: Apache-2.0 */
#include "io/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	json_error_t problem;
	const char *name;
	bool changed;
	int err = 0;

	*ret = (struct owners){};
	if (access(path, R_OK))
		return errno == ENOENT ? 0 : fail(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
	root = json_load_file(path, 0, &problem);
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

static int write_new(const char *path, const char *new, const struct owners *owners)
{
	int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	json_t *root = pack(owners);
	int err = 0;

	if (fd < 0) {
		err = -errno;
		json_decref(root);
		return err;
	}
	errno = 0;
	if (json_dumpfd(root, fd, JSON_COMPACT) || fsync(fd))
		err = errno ? -errno : -EIO;
	json_decref(root);
	close(fd);
	if (!err && rename(new, path))
		err = -errno;
	return err;
}

/* So that the new name is on the disk as well. */
static int sync_directory(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, err;

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	return err;
}

int owners_save(const char *path, const struct owners *owners, struct error *error)
{
	char new[PATH_MAX];
	int err = 0;

	if (!owners->count) {
		if (unlink(path) && errno != ENOENT)
			return fail(error, -errno, "%s: cannot be removed: %s", path, strerror(errno));
		return 0;
	}
	if (snprintf(new, sizeof(new), "%s.new", path) >= (int)sizeof(new))
		err = -ENAMETOOLONG;
	if (!err)
		err = write_new(path, new, owners);
	if (err)
		unlink(new);
	else
		err = sync_directory(path);
	return err ? fail(error, err, "%s: cannot be written: %s", path, strerror(-err)) : 0;
}
