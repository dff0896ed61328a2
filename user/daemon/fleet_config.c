/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet's services as configurations: text in etcd, models here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_private.h"
#include "daemon/health.h"
#include "io/config.h"

int fleet_config_parse(const char *service, __u64 number, const char *text, struct model *ret, struct error *error)
{
	char name[FLEET_KEY_LEN], *whole;
	int err;

	if (asprintf(&whole, "{\"services\": [%s]}", text) < 0)
		return fail(error, -ENOMEM, "out of memory");
	snprintf(name, sizeof(name), "configuration %llu of %s", (unsigned long long)number, service);
	err = config_read(name, whole, ret, error);
	free(whole);
	if (!err && (ret->service_count != 1 || strcmp(ret->services->name, service) != 0)) {
		model_free(ret);
		err = fail(error, -EINVAL, "%s is of another service", name);
	}
	return err;
}

const struct service_model *fleet_config(const struct fleet *fleet, struct fleet_service *service, __u64 number,
					 struct error *error)
{
	char part[24];
	const char *text;
	struct model model;

	if (service->config.service_count && service->config_number == number)
		return service->config.services;
	snprintf(part, sizeof(part), "%llu", (unsigned long long)number);
	text = mirror_text(&fleet->mirror, FLEET_KEY_CONFIG, service->name, part);
	if (!text) {
		fail(error, -ENOENT, "etcd has no configuration %s of %s", part, service->name);
		return NULL;
	}
	if (fleet_config_parse(service->name, number, text, &model, error))
		return NULL;
	model_free(&service->config);
	service->config = model;
	service->config_number = number;
	return service->config.services;
}

/* The configuration's own services stay; those of the fleet are beside them. */
void fleet_configure(struct fleet *fleet)
{
	struct model *model = fleet ? &fleet->daemon->model : NULL;
	struct error error;

	for (size_t i = 0; fleet && i < fleet->service_count; i++) {
		struct fleet_service *service = fleet->services[i];
		const struct service_model *config =
			service->installed ? fleet_config(fleet, service, service->installed, &error) : NULL;
		const struct model one = {.services = (struct service_model *)config, .service_count = 1};
		struct service_model *place;
		struct model copy = {};

		if (!config || model_copy(&one, &copy))
			continue;
		place = model_find_service(model, service->name);
		if (place)
			model_remove_service(model, place);
		place = model_add_service(model);
		if (place) {
			*place = *copy.services;
			copy.service_count = 0;
		}
		model_free(&copy);
	}
	if (fleet)
		keeper_configure(fleet->daemon->keeper);
}
