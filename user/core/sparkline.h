/* SPDX-License-Identifier: Apache-2.0 */
/* A row of numbers as a row of bars of a character's height. */
#ifndef CORE_SPARKLINE_H
#define CORE_SPARKLINE_H

#include <stdbool.h>
#include <stddef.h>

#define SPARKLINE_MAX 60 /* glyphs */
#define SPARKLINE_TEXT_LEN (SPARKLINE_MAX * 3 + 1)

/* The largest of them; NAN: not known, and left out. 0 where there is none. */
double sparkline_peak(const double *values, size_t count);

/*
 * The newest `span` values, of which there may be fewer yet, as `width` glyphs, the newest at the right end: where a glyph
 * stands for several, their mean, and a space where none is known. `peak` is as high as a bar can be. With `utf8` the block
 * elements U+2581 to U+2588, else ASCII. 0 < width <= SPARKLINE_MAX, width <= span.
 */
const char *sparkline(const double *values, size_t count, size_t span, double peak, int width, bool utf8,
		      char buf[SPARKLINE_TEXT_LEN]);

#endif
