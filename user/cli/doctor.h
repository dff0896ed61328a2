/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of `canaryctl doctor` share: what they look at, and how they say what they found. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/doctor_checks.h"
#include "core/model.h"
#include "dataplane/dataplane.h"
#include "dataplane/decap.h"
#include "io/netlink.h"

enum finding { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM, FINDING_NOT_APPLICABLE, FINDINGS };

/* An interface to look at: one that was named, or else that is attached in our network namespace. */
struct patient {
	struct link link;
	const struct interface *attached; /* NULL: it is not */
	bool decap; /* it is a backend's, attached by decap */
};

struct doctor {
	const struct cli *cli;
	struct netlink *netlink;

	/* The data plane, where there is one that can be read. */
	struct dataplane *dataplane; /* NULL: none */
	int unread; /* else: why it cannot be opened, -errno; -ENOENT: there is none */
	struct error why;
	struct model model;
	struct interface *attached; /* in all network namespaces */
	size_t attached_count;
	struct decap *decaps; /* the same of a backend */
	size_t decap_count;

	struct patient *patients;
	size_t patient_count;

	const char *check; /* the one that runs */
	json_t *findings; /* see canaryctl(8) */
};

/* Adds what the check found, of `subject` (an interface, a backend; NULL: the host). */
__attribute__((format(printf, 4, 5))) void found(struct doctor *doctor, enum finding finding, const char *subject,
						 const char *format, ...);
/* Adds to the last finding what to do about it. */
__attribute__((format(printf, 2, 3))) void advise(struct doctor *doctor, const char *format, ...);

/* Are routes and neighbours that we see those that packets take? Says so where they are not, or there are no services. */
bool doctor_sees_ways(struct doctor *doctor);

#define X(name, help) void check_##name(struct doctor *doctor);
DOCTOR_CHECKS(X)
#undef X

#endif
