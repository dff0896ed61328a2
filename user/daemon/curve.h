/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A release's course, for a picture of it: a point a second, and where there are too many, two of them become one of twice
 * the time. Pure: the points of a release that is under way, and those that its history keeps, make the same curve.
 */
#ifndef DAEMON_CURVE_H
#define DAEMON_CURVE_H

#include <jansson.h>

#include "core/rollout_plan.h"
#include "daemon/measure.h"

#define CURVE_POINTS 720 /* even */

#define CURVE_PERCENTILES(X) X(p50, 0.5) X(p90, 0.9) X(p99, 0.99)
#define X(name, part) CURVE_##name,
enum curve_percentile { CURVE_PERCENTILES(X) CURVE_PERCENTILE_COUNT };
#undef X

/* What a cohort did in the point's time. */
#define CURVE_COUNTS(X)                                                                                                \
	X(flows) /* that it got */                                                                                     \
	X(finished) /* those that are watched, and whose handshake's outcome became known */                           \
	X(failures) /* of those; both 0 while the step warms up */                                                     \
	X(drops) /* packets */

struct curve_cohort {
#define X(name) __u64 name;
	CURVE_COUNTS(X)
#undef X
	float handshake[CURVE_PERCENTILE_COUNT]; /* ms; NAN: not known */
};

struct curve_point {
	__s64 until_ms; /* since 1970: when its time was over */
	__s64 span_ms;
	int weight; /* that held at its end, in 1/100 percent */
	struct curve_cohort cohorts[CANARY_COHORTS];
	float log_e[ROLLOUT_MAX_GATES]; /* at its end; NAN: the gate has none */
};

struct curve {
	__u64 release;
	__s64 interval_ms; /* what lies closer together becomes one point */
	size_t count;
	struct curve_point points[CURVE_POINTS];
};

/* Into *curve, which is made, or begun anew, when the release is another one. Without memory the curve lacks a point. */
void curve_add(struct curve **curve, __u64 release, const struct curve_point *point);

/* What the sample adds to a point, and what the gates know by then. */
void curve_take_sample(struct curve_point *point, const struct sample *sample);
void curve_take_evidence(struct curve_point *point, const struct measure *measure, const struct rollout_plan *plan);

/* As the history keeps a point: without what is in the row's sample, or follows from it. */
json_t *curve_point_json(const struct curve_point *point);
int curve_point_parse(const json_t *json, struct curve_point *ret); /* 0 or -EINVAL */

/* CURVE of api.h, of one point or of many. */
json_t *curve_view(const struct curve_point *points, size_t count, const struct rollout_plan *plan);

#endif
