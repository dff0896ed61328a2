/* SPDX-License-Identifier: Apache-2.0 */
#include "io/exposition.h"

#include <math.h>
#include <stdbool.h>

#define EXACT 9007199254740992.0 /* 2^53 */

/* quote: label values escape the quotation mark, too; help texts do not. */
static void put_escaped(FILE *out, const char *text, bool quote)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\\\", out);
		else if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '"' && quote)
			fputs("\\\"", out);
		else
			fputc(*text < ' ' || *text > '~' ? '?' : *text, out);
	}
}

void exposition_family(FILE *out, const char *name, enum metric_type type, const char *help)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	fprintf(out, "# HELP %s ", name);
	put_escaped(out, help, false);
	fprintf(out, "\n# TYPE %s %s\n", name, types[type]);
}

static void put_value(FILE *out, double value)
{
	if (isnan(value))
		fputs("NaN", out);
	else if (isinf(value))
		fputs(value > 0 ? "+Inf" : "-Inf", out);
	else if (value == floor(value) && fabs(value) <= EXACT)
		fprintf(out, "%.0f", value);
	else
		fprintf(out, "%.10g", value);
}

void exposition_sample(FILE *out, const char *name, const char *suffix, const struct metric_labels *labels,
		       double value)
{
	fprintf(out, "%s%s", name, suffix);
	for (int i = 0; i < METRIC_MAX_LABELS && labels->label[i].name; i++) {
		fprintf(out, "%c%s=\"", i ? ',' : '{', labels->label[i].name);
		put_escaped(out, labels->label[i].value, true);
		fputc('"', out);
	}
	if (labels->label[0].name)
		fputc('}', out);
	fputc(' ', out);
	put_value(out, value);
	fputc('\n', out);
}
