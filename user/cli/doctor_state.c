/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `canaryctl doctor` that look at what is kept: pins, keys, and what goes on with nobody's command. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/daemon_client.h"
#include "cli/doctor.h"
#include "cli/owner.h"
#include "io/bird.h"
#include "ops/host.h"

#define DAEMON_PATIENCE_MS 2000

/* Where canaryd is installed, the state is its user's, and root gives it what there is to it. */
static uid_t state_owner(const struct doctor *doctor)
{
	const char *keys = doctor->cli->key_file, *slash = strrchr(keys, '/');
	char directory[PATH_MAX];
	struct stat info;

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - keys) + 1 : 1, slash ? keys : ".");
	return stat(directory, &info) ? 0 : info.st_uid;
}

/* Is it its owner's alone, and he root or whom the state belongs to? */
static void check_owner(struct doctor *doctor, const char *path, const struct stat *info, const char *mode)
{
	if (info->st_uid && info->st_uid != state_owner(doctor)) {
		found(doctor, FINDING_PROBLEM, NULL, "%s belongs to user %u", path, info->st_uid);
		advise(doctor, "run chown root %s", path);
	} else if (info->st_mode & 077) {
		found(doctor, FINDING_PROBLEM, NULL, "%s is open to others (mode %04o)", path, info->st_mode & 07777U);
		advise(doctor, "run chmod %s %s", mode, path);
	} else {
		found(doctor, FINDING_OK, NULL, "%s (mode %04o)", path, info->st_mode & 07777U);
	}
}

void check_pins(struct doctor *doctor)
{
	const char *dir = doctor->cli->dir;
	struct stat info;

	if (doctor->unread == -ENOENT && stat(dir, &info)) {
		found(doctor, FINDING_OK, NULL, "there are none yet at %s", dir);
	} else if (doctor->unread && doctor->unread != -ENOENT) {
		found(doctor, FINDING_PROBLEM, NULL, "%s", doctor->why.text);
		advise(doctor, doctor->unread == -ENODEV
				       ? "mount it, or say with --bpffs where one is; 'ip netns exec' hides it, which "
					 "'nsenter --net=/run/netns/NAME' does not"
				       : "run it as root, with the canaryctl that made the pins");
	} else if (stat(dir, &info)) {
		found(doctor, FINDING_PROBLEM, NULL, "cannot look at %s: %s", dir, strerror(errno));
		advise(doctor, "run it as root");
	} else {
		check_owner(doctor, dir, &info, "700");
	}
}

void check_keys(struct doctor *doctor)
{
	const char *path = doctor->cli->key_file;
	struct stat info;

	if (!stat(path, &info)) {
		check_owner(doctor, path, &info, "600");
	} else if (errno == ENOENT && !doctor->dataplane) {
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "%s is not there: the first attach makes it", path);
	} else if (errno == ENOENT) {
		found(doctor, FINDING_WARNING, NULL, "%s is not there: after a reboot flows would be chosen for anew",
		      path);
		advise(doctor, "say with --key-file, or $CANARYCTL_KEY_FILE, where the keys are, in every command");
	} else {
		found(doctor, FINDING_PROBLEM, NULL, "cannot look at %s: %s", path, strerror(errno));
		advise(doctor, "run it as root");
	}
}

void check_sweeper(struct doctor *doctor)
{
	struct dataplane_info info;
	struct error error;

	if (!doctor->dataplane) {
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "no program is loaded");
	} else if (dataplane_info(doctor->dataplane, &info, &error)) {
		found(doctor, FINDING_PROBLEM, NULL, "%s", error.text);
		advise(doctor, "run canaryctl upgrade");
	} else if (info.sweeper_age_ns > DATAPLANE_SWEEPER_DEAD_NS) {
		found(doctor, FINDING_PROBLEM, NULL,
		      "it has stopped: its last tick was %.0f s ago, so windows do not close and leases run on",
		      (double)info.sweeper_age_ns / 1e9);
		advise(doctor, "run canaryctl upgrade, which starts it again");
	} else {
		found(doctor, FINDING_OK, NULL, "its last tick was %.0f ms ago", (double)info.sweeper_age_ns / 1e6);
	}
}

/* The first service whose weight belongs to a rollout. False: there is none. */
static bool find_owned(const struct doctor *doctor, char ret[CANARY_NAME_LEN])
{
	struct owners owners;
	struct error error;
	bool owned = false;

	if (owner_read(doctor->cli, &owners, &error))
		return false;
	for (size_t i = 0; i < doctor->model.service_count && !owned; i++) {
		owned = owners_find(&owners, doctor->model.services[i].name);
		if (owned)
			snprintf(ret, CANARY_NAME_LEN, "%s", doctor->model.services[i].name);
	}
	owners_free(&owners);
	return owned;
}

void check_daemon(struct doctor *doctor)
{
	const struct daemon_request request = {
		.socket = doctor->cli->socket,
		.method = "GET",
		.path = "/v1/version",
		.timeout_ms = DAEMON_PATIENCE_MS,
	};
	char service[CANARY_NAME_LEN];
	struct error error;
	json_t *answer;
	int err = daemon_ask(&request, &answer, NULL, &error);

	if (!err) {
		found(doctor, FINDING_OK, NULL, "it answers at %s", request.socket);
		json_decref(answer);
	} else if (err == -ECONNREFUSED && find_owned(doctor, service)) {
		found(doctor, FINDING_WARNING, service, "its weight belongs to a rollout, and canaryd is not running");
		advise(doctor, "start canaryd, or run canaryctl rollout rollback %s", service);
	} else if (err == -ECONNREFUSED) {
		found(doctor, FINDING_NOT_APPLICABLE, NULL,
		      "it is not running: rollouts and health checks alone need it");
	} else if (err == -EACCES) {
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "%s", error.text);
	} else {
		found(doctor, FINDING_PROBLEM, NULL, "%s", error.text);
		advise(doctor, "see what canaryd says (journalctl -u canaryd), and start it anew");
	}
}

/* What it has, and what it should have. */
static void compare_routes(struct doctor *doctor, const struct host *host, const struct host_routes *routes)
{
	struct error error;
	unsigned count;

	if (bird_count_routes(host->bird, &count, &error)) {
		found(doctor, FINDING_PROBLEM, NULL, "%s", error.text);
		advise(doctor, "see that BIRD runs and includes %s, then run canaryctl host %s", host->routes,
		       routes->withheld ? "drain" : "undrain");
	} else if (count != routes->count) {
		found(doctor, FINDING_PROBLEM, NULL, "BIRD has %u routes of this host, and should have %zu", count,
		      routes->count);
		advise(doctor, "run canaryctl host %s", routes->withheld ? "drain" : "undrain");
	} else if (routes->withheld) {
		found(doctor, FINDING_WARNING, NULL, "%s", routes->why.text);
	} else {
		found(doctor, FINDING_OK, NULL, "BIRD has %u route%s of this host", count, count == 1 ? "" : "s");
	}
}

void check_announcement(struct doctor *doctor)
{
	const struct instance instance = {doctor->cli->dir, doctor->cli->key_file};
	struct host_routes routes;
	struct error error;
	struct host host;

	if (host_load(&instance, &host, &error) || host_routes_wanted(&instance, &host, &routes, &error)) {
		found(doctor, FINDING_PROBLEM, NULL, "%s", error.text);
		return;
	}
	if (host.routes[0])
		compare_routes(doctor, &host, &routes);
	else if (host.drained)
		found(doctor, FINDING_WARNING, NULL, "%s", routes.why.text);
	else
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "not by canaryctl: see canaryctl help host routes");
	host_routes_free(&routes);
}
