/* SPDX-License-Identifier: Apache-2.0 */
/* The dashboard's page: user/web, within this binary. */
#ifndef DAEMON_PAGE_H
#define DAEMON_PAGE_H

#include "io/http_server.h"

/* GET / and GET /assets/{file}: http_handler. */
void page_get(struct http_call *call, void *arg);
void page_get_asset(struct http_call *call, void *arg);

#endif
