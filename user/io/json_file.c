/* SPDX-License-Identifier: Apache-2.0 */
#include "io/json_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"

int json_file_save(const char *path, json_t *root, struct error *error)
{
	char *text;
	int err;

	if (!root) {
		if (unlink(path) && errno != ENOENT)
			return fail(error, -errno, "%s: cannot be removed: %s", path, strerror(errno));
		return 0;
	}
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	err = text ? file_replace(path, 0600, text) : -ENOMEM;
	free(text);
	return err ? fail(error, err, "%s: cannot be written: %s", path, strerror(-err)) : 0;
}
