/* SPDX-License-Identifier: Apache-2.0 */
/* The mapping `fleet`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/fleet_settings.h"
#include "io/config_schema.h"

#define PREFIX_DEFAULT "/canary"

#define TEXT_OF tls_text
static const cyaml_schema_field_t tls_fields[] = {TLS_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF

static const cyaml_schema_value_t url_schema = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

#define TEXT_OF fleet_text
const cyaml_schema_field_t fleet_fields[] = {
	FLEET_KEYS(TEXT) LIST(etcd, REQUIRED, url_schema),
	PART(tls),
	CYAML_FIELD_END,
};
#undef TEXT_OF

static int read_line(const char *text, char *ret, size_t size, struct problem *problem)
{
	if (!*text)
		return refuse_text(problem, "it is empty: say something, or leave it out");
	if (strlen(text) >= size)
		return refuse_text(problem, "it is longer than %zu characters", size - 1);
	strcpy(ret, text);
	return 0;
}

#define LINE(mapping, key, member)                                                                                     \
	static int read_##mapping##_##key(const char *text, struct fleet_settings *fleet, struct problem *problem)     \
	{                                                                                                              \
		return read_line(text, fleet->member, sizeof(fleet->member), problem);                                 \
	}
LINE(fleet, prefix, prefix)
LINE(fleet, name, name)
LINE(fleet, user, etcd.user)
LINE(fleet, password_file, etcd.password_file)
LINE(tls, ca, etcd.ca)
LINE(tls, cert, etcd.cert)
LINE(tls, key, etcd.key)
#undef LINE

#define READER(key) read_fleet_##key
static int read_keys(const struct fleet_text *text, const char *path, struct fleet_settings *ret,
		     struct problem *problem)
{
	int err;

	FLEET_KEYS(READ)
	return 0;
}
#undef READER

#define READER(key) read_tls_##key
static int read_tls(const struct tls_text *text, const char *path, struct fleet_settings *ret, struct problem *problem)
{
	int err;

	TLS_KEYS(READ)
	return 0;
}
#undef READER

static int read_endpoints(const struct fleet_text *text, struct fleet_settings *ret, struct problem *problem)
{
	int err = 0;

	if (text->etcd_count > ETCD_ENDPOINTS_MAX) {
		snprintf(problem->path, sizeof(problem->path), "fleet.etcd");
		return refuse_text(problem, "there are at most %d of them", ETCD_ENDPOINTS_MAX);
	}
	for (unsigned i = 0; !err && i < text->etcd_count; i++) {
		snprintf(problem->path, sizeof(problem->path), "fleet.etcd[%u]", i);
		err = read_line(text->etcd[i], ret->etcd.endpoints[i], sizeof(ret->etcd.endpoints[i]), problem);
	}
	ret->etcd.endpoint_count = text->etcd_count;
	return err;
}

/* The host's own name, where the file says none. */
static int settle_name(struct fleet_settings *ret, struct problem *problem)
{
	snprintf(problem->path, sizeof(problem->path), "fleet.name");
	if (!ret->name[0] && gethostname(ret->name, sizeof(ret->name)))
		return refuse_text(problem, "this host has no name that could be taken: give one");
	return 0;
}

int read_fleet(const struct fleet_text *text, struct fleet_settings *ret, struct problem *problem)
{
	struct problem found = {};
	int err;

	*ret = (struct fleet_settings){.prefix = PREFIX_DEFAULT};
	err = read_keys(text, "fleet.", ret, problem);
	if (!err)
		err = read_endpoints(text, ret, problem);
	if (!err && text->tls)
		err = read_tls(text->tls, "fleet.tls.", ret, problem);
	if (!err)
		err = settle_name(ret, problem);
	if (!err)
		err = fleet_settings_validate(ret, &found);
	if (found.text[0]) {
		snprintf(problem->path, sizeof(problem->path), "fleet.%.60s", found.path);
		snprintf(problem->text, sizeof(problem->text), "%s", found.text);
	}
	return err;
}
