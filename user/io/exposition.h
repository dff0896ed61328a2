/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes Prometheus' text exposition format, version 0.0.4. A family's samples follow its head, without another family's in
 * between. Whether writing failed (memory) is the stream's to know: see ferror().
 */
#ifndef IO_EXPOSITION_H
#define IO_EXPOSITION_H

#include <stdio.h>

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/*
 * Names are of the program, and valid: [a-zA-Z_][a-zA-Z0-9_]*. Values may be any bytes, as interfaces' names may: what is not of
 * ASCII is a '?', as where commands print it. Of one that is no UTF-8 Prometheus would refuse everything.
 */
struct metric_label {
	const char *name;
	const char *value;
};
#define METRIC_MAX_LABELS 4
struct metric_labels {
	struct metric_label label[METRIC_MAX_LABELS]; /* up to one without a name */
};

void exposition_family(FILE *out, const char *name, enum metric_type type, const char *help);
/* suffix: "", or of a histogram "_bucket" (with its label le), "_sum" or "_count". Whole numbers are exact up to 2^53. */
void exposition_sample(FILE *out, const char *name, const char *suffix, const struct metric_labels *labels,
		       double value);

#endif
