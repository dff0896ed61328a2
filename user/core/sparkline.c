/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sparkline.h"

#include <math.h>
#include <string.h>

enum { LEVELS = 8 };

double sparkline_peak(const double *values, size_t count)
{
	double peak = 0;

	for (size_t i = 0; i < count; i++)
		if (values[i] > peak)
			peak = values[i];
	return peak;
}

/* Of values[begin..end), of which those before 0 are not there. NAN: none is known. */
static double mean(const double *values, long begin, long end)
{
	double sum = 0;
	long known = 0;

	for (long i = begin > 0 ? begin : 0; i < end; i++) {
		if (isnan(values[i]))
			continue;
		sum += values[i];
		known++;
	}
	return known ? sum / (double)known : NAN;
}

/* What is more than nothing never looks like nothing. */
static int level_of(double value, double peak)
{
	int level = value > 0 && peak > 0 ? (int)ceil(value / peak * (LEVELS - 1) - 1e-9) : 0;

	if (value > 0 && level < 1)
		return 1;
	return level < LEVELS ? level : LEVELS - 1;
}

const char *sparkline(const double *values, size_t count, size_t span, double peak, int width, bool utf8,
		      char buf[SPARKLINE_TEXT_LEN])
{
	static const char *const blocks[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[LEVELS] = {"_", ".", ":", "-", "=", "+", "*", "#"};
	long first = (long)count - (long)span;

	buf[0] = '\0';
	for (int i = 0; i < width; i++) {
		double value = mean(values, first + (long)span * i / width, first + (long)span * (i + 1) / width);

		if (isnan(value))
			strcat(buf, " ");
		else
			strcat(buf, (utf8 ? blocks : ascii)[level_of(value, peak)]);
	}
	return buf;
}
