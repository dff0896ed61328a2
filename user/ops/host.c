/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/host.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dataplane/dataplane.h"
#include "io/bird.h"
#include "io/directory.h"
#include "io/json_file.h"
#include "io/netlink.h"
#include "ops/clock.h"

#define NSEC_PER_SEC 1000000000ULL
#define LOCK_PATIENCE_NS (10 * NSEC_PER_SEC)
#define BIRD_PATIENCE_NS (5 * NSEC_PER_SEC)
#define PAUSE_US 20000

/* ---- what was asked for ---- */

static int wait_for_lock(int fd)
{
	__u64 until = clock_monotonic_ns() + LOCK_PATIENCE_NS;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (clock_monotonic_ns() >= until)
			return -EBUSY;
		usleep(PAUSE_US);
	}
	return 0;
}

int host_lock(const struct instance *instance, int *ret, struct error *error)
{
	char path[PATH_MAX];
	int fd, err = instance_file(instance, "host-lock", path, error);

	if (!err)
		err = directory_make_of(path, 0700, error);
	if (err)
		return err;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(error, -errno, "%s: cannot be opened: %s", path, strerror(errno));
	err = directory_give(path, fd);
	if (!err)
		err = wait_for_lock(fd);
	if (err) {
		close(fd);
		return fail(error, err, "%s: %s", path,
			    err == -EBUSY ? "another command has been telling BIRD for 10 seconds" : strerror(-err));
	}
	*ret = fd;
	return 0;
}

static void take_text(const json_t *root, const char *key, char ret[PATH_MAX])
{
	const char *text = json_string_value(json_object_get(root, key));

	snprintf(ret, PATH_MAX, "%s", text ? text : "");
}

int host_load(const struct instance *instance, struct host *ret, struct error *error)
{
	struct host host = {};
	char path[PATH_MAX];
	json_t *root;
	FILE *file;
	int err = instance_file(instance, "host", path, error);

	if (err)
		return err;
	file = fopen(path, "re");
	if (!file && errno != ENOENT)
		return fail(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
	root = file ? json_loadf(file, 0, NULL) : json_object();
	if (file)
		fclose(file);
	if (!json_is_object(root)) {
		json_decref(root);
		return fail(error, -EINVAL,
			    "%s: is damaged, so whether this host is drained is not known: remove it, and say so anew",
			    path);
	}
	host.drained = json_is_true(json_object_get(root, "drained"));
	take_text(root, "routes", host.routes);
	take_text(root, "bird", host.bird);
	json_decref(root);
	*ret = host;
	return 0;
}

int host_save(const struct instance *instance, const struct host *host, struct error *error)
{
	json_t *root = json_pack("{s:i, s:b, s:s, s:s}", "format", 1, "drained", host->drained, "routes", host->routes,
				 "bird", host->bird);
	char path[PATH_MAX];
	int err;

	if (!root)
		return fail(error, -EINVAL, "the path of a file is not in UTF-8");
	err = instance_file(instance, "host", path, error);
	if (err) {
		json_decref(root);
		return err;
	}
	return json_file_save(path, root, error);
}

/* ---- what may be announced ---- */

static bool is_attached(const struct interface *interface)
{
	return interface->netns == netns_inode() && !interface->gone && (!interface->chain || interface->position);
}

static int check_attached(struct dataplane *dataplane, struct error *error)
{
	struct interface *interfaces;
	bool attached = false;
	size_t count;
	int err = dataplane_interfaces(dataplane, &interfaces, &count, error);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		attached |= is_attached(&interfaces[i]);
	free(interfaces);
	return attached ? 0 : fail(error, -ENODEV, "nothing is attached: see canaryctl attach");
}

static int check_sweeper(struct dataplane *dataplane, struct error *error)
{
	struct dataplane_info info;
	int err = dataplane_info(dataplane, &info, error);

	if (!err && info.sweeper_age_ns > DATAPLANE_SWEEPER_DEAD_NS)
		err = fail(error, -EIO,
			   "the sweeper in the kernel has stopped %.0f seconds ago: canaryctl upgrade starts it again",
			   (double)info.sweeper_age_ns / NSEC_PER_SEC);
	return err;
}

int host_can_serve(const struct instance *instance, struct error *error)
{
	struct dataplane *dataplane;
	int err = dataplane_open(instance->dir, DATAPLANE_READ, &dataplane, error);

	if (err == -ENOENT)
		return fail(error, -ENODEV, "nothing is attached: see canaryctl attach");
	if (err)
		return err;
	err = check_attached(dataplane, error);
	if (!err)
		err = check_sweeper(dataplane, error);
	dataplane_close(dataplane);
	return err;
}

int host_may_be_announced(const struct instance *instance, const struct host *host, struct error *error)
{
	if (host->drained)
		return fail(error, -EHOSTDOWN, "this host is drained: canaryctl host undrain takes it back");
	return host_can_serve(instance, error);
}

static int compare_addrs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct canary_addr));
}

static int collect_addrs(const struct model *services, struct host_routes *ret, struct error *error)
{
	struct canary_addr *addrs = calloc(services->service_count + 1, sizeof(*addrs));
	size_t count = 0;

	if (!addrs)
		return fail(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < services->service_count; i++)
		addrs[i] = services->services[i].addr;
	qsort(addrs, services->service_count, sizeof(*addrs), compare_addrs);
	for (size_t i = 0; i < services->service_count; i++) {
		if (!count || compare_addrs(&addrs[count - 1], &addrs[i]))
			addrs[count++] = addrs[i];
	}
	*ret = (struct host_routes){.addrs = addrs, .count = count};
	return 0;
}

int host_routes_wanted(const struct instance *instance, const struct host *host, struct host_routes *ret,
		       struct error *error)
{
	struct dataplane *dataplane;
	struct model services = {};
	int err;

	*ret = (struct host_routes){};
	if (host_may_be_announced(instance, host, &ret->why)) {
		ret->withheld = true;
		return 0;
	}
	err = dataplane_open(instance->dir, DATAPLANE_READ, &dataplane, error);
	if (err)
		return err;
	err = dataplane_read_heads(dataplane, &services, error);
	if (!err)
		err = collect_addrs(&services, ret, error);
	model_free(&services);
	dataplane_close(dataplane);
	return err;
}

void host_routes_free(struct host_routes *routes)
{
	free(routes->addrs);
	*routes = (struct host_routes){};
}

/* ---- BIRD ---- */

/* BIRD may answer before it has done what it was asked for. */
static int wait_for_routes(const struct host *host, size_t wanted, struct error *error)
{
	__u64 until = clock_monotonic_ns() + BIRD_PATIENCE_NS;
	unsigned count = 0;
	int err;

	while (!(err = bird_count_routes(host->bird, &count, error)) && count != wanted && clock_monotonic_ns() < until)
		usleep(PAUSE_US);
	if (err == -ENOENT)
		return fail(error, err, "BIRD does not read %s: its configuration has to include it", host->routes);
	if (!err && count != wanted)
		err = fail(error, -ETIMEDOUT, "BIRD has %u routes of %s, which has %zu: see birdc show protocols",
			   count, host->routes, wanted);
	return err;
}

int host_announce(const struct host *host, const struct host_routes *routes, struct error *error)
{
	struct error why;
	int err = bird_write_routes(host->routes, routes->addrs, routes->count, error);

	if (err)
		return err;
	err = bird_configure(host->bird, &why);
	if (err == -ECONNREFUSED)
		return fail(error, err, "%.800s; when it starts, it has %zu of this host's routes", why.text,
			    routes->count);
	return err ? fail(error, err, "%s", why.text) : wait_for_routes(host, routes->count, error);
}
