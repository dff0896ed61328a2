/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_model.h"

#include <netinet/in.h>
#include <stdio.h>

#include "core/text.h"

struct canary_addr make_addr(const char *text)
{
	struct canary_addr addr;

	assert_int_equal(parse_addr(text, &addr), 0);
	return addr;
}

struct service_model *make_service(struct model *model, const char *name, const char *endpoint)
{
	struct service_model *service = model_add_service(model);

	assert_non_null(service);
	snprintf(service->name, sizeof(service->name), "%s", name);
	service->proto = IPPROTO_TCP;
	assert_int_equal(parse_endpoint(endpoint, &service->addr, &service->port), 0);
	return service;
}

struct backend_model *make_backend(struct service_model *service, enum canary_cohort cohort, const char *endpoint)
{
	struct backend_model *backend = service_add_backend(service);

	assert_non_null(backend);
	backend->cohort = cohort;
	assert_int_equal(parse_endpoint(endpoint, &backend->addr, &backend->port), 0);
	return backend;
}

struct segment_model *make_segment(struct service_model *service, const char *prefix, enum canary_cohort cohort)
{
	struct segment_model *segment = service_add_segment(service);

	assert_non_null(segment);
	segment->cohort = cohort;
	assert_int_equal(parse_prefix(prefix, &segment->addr, &segment->prefix_len), 0);
	return segment;
}

struct model make_example(void)
{
	struct model model = {};
	struct service_model *web = make_service(&model, "web", "203.0.113.10:80");

	web->weight = 500;
	make_backend(web, CANARY_STABLE, "10.0.0.11:8080");
	make_backend(web, CANARY_STABLE, "10.0.0.12:8080")->weight = 2;
	make_backend(web, CANARY_CANARY, "10.0.0.21:8080");
	make_segment(web, "198.51.100.0/24", CANARY_CANARY);
	return model;
}
