/* SPDX-License-Identifier: Apache-2.0 */
/* How a balancer finds its fleet: the etcd that they share, and its own name there. Plain data without pointers. */
#ifndef CORE_FLEET_SETTINGS_H
#define CORE_FLEET_SETTINGS_H

#include "core/validate.h"

#define ETCD_ENDPOINTS_MAX 9
#define ETCD_URL_LEN 288 /* "https://", a host's name (253), ":65535" */
#define ETCD_USER_LEN 128
#define FLEET_PATH_LEN 1024 /* of files */
#define FLEET_PREFIX_LEN 128
#define FLEET_NAME_LEN 64 /* a host's or a service's, with its zero */

struct etcd_settings {
	char endpoints[ETCD_ENDPOINTS_MAX][ETCD_URL_LEN]; /* "http://HOST:PORT" or https, all of one kind */
	size_t endpoint_count; /* 1 at least */
	/* Of https alone. "": the system's authorities; no client certificate. */
	char ca[FLEET_PATH_LEN];
	char cert[FLEET_PATH_LEN], key[FLEET_PATH_LEN]; /* both or neither */
	char user[ETCD_USER_LEN]; /* "": etcd asks for none */
	char password_file[FLEET_PATH_LEN]; /* with a user */
};

struct fleet_settings {
	struct etcd_settings etcd;
	char prefix[FLEET_PREFIX_LEN]; /* of the fleet's keys: begins with '/', ends without */
	char name[FLEET_NAME_LEN]; /* of this host, unique in its fleet */
};

/* 0, or -EINVAL with the first problem: `path` as in "etcd[1]" or "tls.key". */
int fleet_settings_validate(const struct fleet_settings *settings, struct problem *ret);

#endif
