/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/page.h"

#include <string.h>

#define HTML "text/html; charset=utf-8"
#define CSS "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define SVG "image/svg+xml"

/* X(name in C, file below user/web, name below /assets/, type) */
#define ASSETS(X)                                                                                                      \
	X(index, "index.html", "index.html", HTML)                                                                     \
	X(style, "style.css", "style.css", CSS)                                                                        \
	X(icon, "icon.svg", "icon.svg", SVG)                                                                           \
	X(main, "main.js", "main.js", SCRIPT)                                                                          \
	X(live, "live.js", "live.js", SCRIPT)                                                                          \
	X(actions, "actions.js", "actions.js", SCRIPT)                                                                 \
	X(charts, "charts.js", "charts.js", SCRIPT)                                                                    \
	X(curve, "curve.js", "curve.js", SCRIPT)                                                                       \
	X(events, "events.js", "events.js", SCRIPT)                                                                    \
	X(views, "views.js", "views.js", SCRIPT)                                                                       \
	X(tables, "tables.js", "tables.js", SCRIPT)                                                                    \
	X(dom, "dom.js", "dom.js", SCRIPT)                                                                             \
	X(words, "words.js", "words.js", SCRIPT)                                                                       \
	X(uplot_script, "uplot/uPlot.iife.min.js", "uPlot.iife.min.js", SCRIPT)                                        \
	X(uplot_style, "uplot/uPlot.min.css", "uPlot.min.css", CSS)                                                    \
	X(uplot_licence, "uplot/LICENSE", "uPlot.LICENSE", "text/plain; charset=utf-8")

/* The files themselves, between two symbols: as they are, so the page needs no tool to be built. */
#define X(id, file, name, type)                                                                                        \
	__asm__(".pushsection .rodata\n"                                                                               \
		".global page_" #id "\n"                                                                               \
		"page_" #id ": .incbin \"user/web/" file "\"\n"                                                        \
		".global page_" #id "_end\n"                                                                           \
		"page_" #id "_end: .byte 0\n"                                                                          \
		".popsection\n");                                                                                      \
	extern const char page_##id[], page_##id##_end[];
ASSETS(X)
#undef X

static const struct asset {
	const char *name, *type, *bytes, *end;
} assets[] = {
#define X(id, file, name, type) {name, type, page_##id, page_##id##_end},
	ASSETS(X)
#undef X
};

static void reply_asset(struct http_call *call, const struct asset *asset)
{
	http_reply_text(call, 200, asset->type, asset->bytes, (size_t)(asset->end - asset->bytes));
}

void page_get(struct http_call *call, void *arg)
{
	(void)arg;
	reply_asset(call, &assets[0]);
}

void page_get_asset(struct http_call *call, void *arg)
{
	const char *name = http_part(call, "file");

	(void)arg;
	for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++) {
		if (!strcmp(assets[i].name, name)) {
			reply_asset(call, &assets[i]);
			return;
		}
	}
	http_reply_error(call, 404, "there is no asset \"%s\"", name);
}
