/* SPDX-License-Identifier: Apache-2.0 */
/* Models for tests, written as a person would. What cannot be parsed or allocated fails the test. */
#ifndef LIB_MODEL_H
#define LIB_MODEL_H

/* Before cmocka.h, which makes fail() a macro. */
#include "core/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/model.h"

struct canary_addr make_addr(const char *text);

/* A tcp service with nat; endpoint "203.0.113.10:80". */
struct service_model *make_service(struct model *model, const char *name, const char *endpoint);
/* endpoint with or without a port. */
struct backend_model *make_backend(struct service_model *service, enum canary_cohort cohort, const char *endpoint);
struct segment_model *make_segment(struct service_model *service, const char *prefix, enum canary_cohort cohort);

/* Service "web" with two stable backends, one canary backend, weight 5 and a segment: nothing is wrong with it. */
struct model make_example(void);

#endif
