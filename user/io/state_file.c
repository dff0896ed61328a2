/* SPDX-License-Identifier: Apache-2.0 */
/* One line for each service, so that those that have not changed can be copied as they are. */
#include "io/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "canary/select.h"
#include "core/server_id.h"
#include "core/text.h"
#include "io/directory.h"
#include "io/state_file_format.h"

#define HEAD_TEXT_LEN 384

/* What the file says until now, line by line. */
struct old {
	char *text;
	char *next; /* the line that is likely to be asked for next */
};

struct saving {
	struct old old;
	FILE *file;
	state_window *window;
	void *arg;
};

static json_t *pack_backends(const struct service_model *service)
{
	char addr[ADDR_TEXT_LEN], id[SERVER_ID_TEXT_LEN];
	json_t *backends = json_array();

	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		json_array_append_new(backends, json_pack("{s:s, s:s, s:i, s:i, s:b, s:s*}", "cohort",
							  cohort_name(backend->cohort), "address",
							  format_addr(&backend->addr, addr), "port", backend->port,
							  "weight", (int)backend->weight, "draining", backend->draining,
							  "server_id", backend_server_id(backend, id)));
	}
	return backends;
}

static json_t *pack_segments(const struct service_model *service)
{
	json_t *segments = json_array();
	char prefix[ADDR_TEXT_LEN];

	for (size_t i = 0; i < service->segment_count; i++) {
		const struct segment_model *segment = &service->segments[i];

		json_array_append_new(segments, json_pack("{s:s, s:s}", "clients",
							  format_prefix(&segment->addr, segment->prefix_len, prefix),
							  "cohort", cohort_name(segment->cohort)));
	}
	return segments;
}

static json_t *pack_window(const struct service_model *oldest, const struct window_times *times)
{
	char salt[17];

	/* A salt has 64 bits and no sign: more than readers of JSON agree on in a number. */
	snprintf(salt, sizeof(salt), "%016" PRIx64, (uint64_t)oldest->salt);
	return json_pack("{s:I, s:I, s:i, s:I, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:o}", "opened",
			 (json_int_t)times->opened, "changed", (json_int_t)times->changed, "weight_hundredths",
			 oldest->weight, "salt_number", (json_int_t)oldest->salt_number, "salt", salt, "forward",
			 forward_name(oldest->forward), "gue_port", oldest->gue_port, "affinity",
			 affinity_name(oldest->affinity), "track", track_name(oldest->track), "overflow",
			 overflow_name(oldest->overflow), "idle_timeout", (int)oldest->idle_timeout, "max_window",
			 (int)oldest->max_window, "id_offset", (int)oldest->id_offset, "id_length",
			 (int)oldest->id_length, "backends", pack_backends(oldest), "segments", pack_segments(oldest));
}

/* The service's line, up to its window. By hand: it is made for every service, and a name has nothing to be escaped. */
static int format_head(const struct service_model *service, char buf[HEAD_TEXT_LEN])
{
	char addr[ADDR_TEXT_LEN];

	return snprintf(buf, HEAD_TEXT_LEN,
			"{\"name\":\"%s\",\"protocol\":\"%s\",\"address\":\"%s\",\"port\":%d,\"weight_hundredths\":%d,"
			"\"salt_number\":%u,\"lease\":%u,\"epoch\":%llu%s",
			service->name, proto_name(service->proto), format_addr(&service->addr, addr), service->port,
			service->weight, service->salt_number, service->lease,
			(unsigned long long)canary_word_epoch(service->word),
			service->word & CANARY_WORD_STOPPED ? ",\"stopped\":true" : "");
}

static void old_open(const char *path, struct old *ret)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;
	ssize_t len = -1;
	char *text = NULL;

	if (fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode))
		text = malloc(status.st_size + 1);
	if (text)
		len = read(fd, text, status.st_size);
	if (fd >= 0)
		close(fd);
	/* Without it, all is asked for anew. Half a line at its end is not taken for one. */
	if (len < 0) {
		free(text);
		text = NULL;
	} else {
		text[len] = '\0';
	}
	*ret = (struct old){.text = text, .next = text};
}

static char *line_after(char *line)
{
	char *end = strchr(line, '\n');

	return end ? end + 1 : NULL;
}

/*
 * The line that begins so, without what ends it; NULL: there is none. *ret_len is its length. A service has one line, which is
 * looked for by its name: services keep their order, by and large, so even where all have changed no line is looked at twice.
 */
static const char *old_find(struct old *old, const char *head, size_t head_len, size_t *ret_len)
{
	size_t name_len = strcspn(head, ",") + 1;
	char *line = old->next, *end;

	if (!line || strncmp(line, head, name_len))
		for (line = old->text; line && strncmp(line, head, name_len);)
			line = line_after(line);
	end = line ? strchr(line, '\n') : NULL;
	if (!end)
		return NULL;
	old->next = end + 1;
	*ret_len = end - line - (end[-1] == ',');
	return strncmp(line, head, head_len) ? NULL : line;
}

/* Its line of before is good if it is of the same epoch, and has a window if one is open. */
static bool copy_line(struct saving *saving, const struct service_model *service, const char *head, size_t head_len)
{
	static const char window[] = ",\"window\":";
	size_t len;
	const char *line = old_find(&saving->old, head, head_len, &len);

	if (!line || line[len - 1] != '}')
		return false;
	if (service->word & CANARY_WORD_OPEN ? strncmp(line + head_len, window, sizeof(window) - 1)
					     : len != head_len + 1)
		return false;
	fwrite(line, 1, len, saving->file);
	return true;
}

static int write_window(struct saving *saving, const struct service_model *service, struct error *error)
{
	struct model oldest = {};
	struct window_times times;
	json_t *window;
	int err = saving->window(service, saving->arg, &oldest, &times, error);

	if (err)
		return err == -ENOENT ? 0 : err;
	window = pack_window(oldest.services, &times);
	model_free(&oldest);
	if (!window)
		return fail(error, -ENOMEM, "out of memory");
	fputs(",\"window\":", saving->file);
	json_dumpf(window, saving->file, JSON_COMPACT);
	json_decref(window);
	return 0;
}

static int write_services(struct saving *saving, const struct model *services, struct error *error)
{
	int err = 0;

	fprintf(saving->file, "{\"format\":%d,\"services\":[\n", STATE_FORMAT);
	for (size_t i = 0; !err && i < services->service_count; i++) {
		const struct service_model *service = &services->services[i];
		char head[HEAD_TEXT_LEN];
		size_t len = format_head(service, head);

		if (!copy_line(saving, service, head, len)) {
			fwrite(head, 1, len, saving->file);
			if (service->word & CANARY_WORD_OPEN)
				err = write_window(saving, service, error);
			fputc('}', saving->file);
		}
		fputs(i + 1 < services->service_count ? ",\n" : "\n", saving->file);
	}
	fputs("]}\n", saving->file);
	return err;
}

static int no_write(const char *path, int err, struct error *error)
{
	return fail(error, err, "%s: cannot be written: %s", path, strerror(-err));
}

/* To `new`, which becomes `path`. */
static int write_file(const char *path, const char *new, struct saving *saving, const struct model *services,
		      struct error *error)
{
	int fd, err;

	/* What a process that was killed has left may be another user's, or of another mode. */
	unlink(new);
	fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	saving->file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!saving->file) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return no_write(path, err, error);
	}
	err = write_services(saving, services, error);
	errno = 0;
	if (!err && (directory_give(path, fd) || fflush(saving->file) || ferror(saving->file) || fsync(fd)))
		err = no_write(path, errno ? -errno : -EIO, error);
	if (fclose(saving->file) && !err)
		err = no_write(path, -errno, error);
	return err;
}

/* So that the new name is on disk as well. */
static int sync_directory(const char *path)
{
	char directory[PATH_MAX];
	char *slash;
	int fd, err;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	return err;
}

int state_file_save(const char *path, const struct model *services, state_window *window, void *arg,
		    struct error *error)
{
	struct saving saving = {.window = window, .arg = arg};
	char new[PATH_MAX];
	int err;

	if (!services->service_count) {
		if (!unlink(path) || errno == ENOENT)
			return 0;
		return fail(error, -errno, "%s: cannot be removed: %s", path, strerror(errno));
	}
	if (snprintf(new, sizeof(new), "%s.new", path) >= (int)sizeof(new))
		return no_write(path, -ENAMETOOLONG, error);
	old_open(path, &saving.old);
	err = write_file(path, new, &saving, services, error);
	free(saving.old.text);
	if (!err && rename(new, path))
		err = no_write(path, -errno, error);
	if (err) {
		unlink(new);
		return err;
	}
	err = sync_directory(path);
	return err ? no_write(path, err, error) : 0;
}
