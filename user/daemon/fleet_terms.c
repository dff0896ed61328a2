/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for all hosts of a fleet since it began: its terms, and the keys of the hashes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"
#include "daemon/fleet_private.h"
#include "daemon/log.h"
#include "io/directory.h"

#define KEYS_MAX 4096
#define KEYS_MODE 0600
#define DIRECTORY_MODE 0755

struct fleet_terms fleet_terms_default(void)
{
	return (struct fleet_terms){
#define X(name, otherwise, min, max) .name = (otherwise),
		FLEET_TERMS(X)
#undef X
	};
}

/* "name N" of a line of words. */
static void parse_term(const char *words, const char *name, unsigned min, unsigned max, unsigned *ret)
{
	size_t length = strlen(name);
	const char *at = words;
	char number[16];

	while ((at = strstr(at, name))) {
		if ((at == words || at[-1] == ' ') && at[length] == ' ') {
			snprintf(number, sizeof(number), "%.*s", (int)strcspn(at + length + 1, " "), at + length + 1);
			parse_unsigned(number, min, max, ret);
			return;
		}
		at += length;
	}
}

void fleet_terms_parse(const char *format, struct fleet_terms *ret)
{
	const char *words = format + strlen(FLEET_FORMAT);
	struct fleet_terms terms = fleet_terms_default();

#define X(name, otherwise, min, max) parse_term(words, #name, min, max, &terms.name);
	FLEET_TERMS(X)
#undef X
	*ret = terms;
}

const char *fleet_terms_format(const struct fleet_terms *terms, char buf[FLEET_TEXT_LEN])
{
	int length = snprintf(buf, FLEET_TEXT_LEN, "%s", FLEET_FORMAT);

#define X(name, otherwise, min, max)                                                                                   \
	length += snprintf(buf + length, FLEET_TEXT_LEN - (size_t)length, " %s %u", #name, terms->name);
	FLEET_TERMS(X)
#undef X
	return buf;
}

/* -ENOENT: there is none. */
static int read_file(const char *path, char **ret, struct error *error)
{
	char text[KEYS_MAX] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : 0;
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (got < 0)
		return fail(error, err ? err : -EIO, "the key file %s cannot be read", path);
	*ret = strdup(text);
	return *ret ? 0 : fail(error, -ENOMEM, "out of memory");
}

int fleet_keys_read(const struct instance *instance, char **ret, struct error *error)
{
	int err = read_file(instance->key_file, ret, error);

	return err == -ENOENT ? fail(error, err,
				     "this host has no keys of the hashes yet, that could be the fleet's: attach it "
				     "first, with "
				     "canaryctl attach")
			      : err;
}

static int write_keys(const char *path, const char *keys, struct error *error)
{
	char temporary[PATH_MAX];
	size_t length = strlen(keys);
	int fd, err = directory_make_of(path, DIRECTORY_MODE, error);

	if (err)
		return err;
	if (snprintf(temporary, sizeof(temporary), "%s.fleet", path) >= (int)sizeof(temporary))
		return fail(error, -ENAMETOOLONG, "the key file's name is too long");
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, KEYS_MODE);
	if (fd < 0 || write(fd, keys, length) != (ssize_t)length || fsync(fd) || rename(temporary, path))
		err = fail(error, -errno, "the fleet's keys cannot be written to %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

int fleet_keys_adopt(const struct instance *instance, const char *keys, struct error *error)
{
	struct dataplane *dataplane;
	struct error ignored;
	char *ours = NULL;
	bool same = !read_file(instance->key_file, &ours, &ignored) && !strcmp(ours, keys);
	int err;

	free(ours);
	if (same)
		return 0;
	err = dataplane_open(instance->dir, DATAPLANE_READ, &dataplane, &ignored);
	if (err != -ENOENT) {
		if (!err)
			dataplane_close(dataplane);
		return fail(error, -EUCLEAN,
			    "this host's data plane has other keys than the fleet, so it would choose other backends: "
			    "end it "
			    "with canaryctl detach --all and canaryctl service del, and attach again when canaryd has "
			    "taken the fleet's keys");
	}
	err = write_keys(instance->key_file, keys, error);
	if (!err)
		log_notice("fleet: its keys of the hashes are in %s now", instance->key_file);
	return err;
}
