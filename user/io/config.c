/* SPDX-License-Identifier: Apache-2.0 */
#include "io/config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/rollout_plan.h"
#include "core/validate.h"
#include "io/config_schema.h"
#include "io/document.h"

#define MAX_FILE_SIZE ((size_t)16 << 20)

struct file {
	const char *name;
	char *data;
	size_t size;
};

/* A file's size is only known at its end: it may be a pipe. */
static int read_all(int fd, struct file *file, struct error *error)
{
	size_t room = 0;

	for (;;) {
		ssize_t got;

		if (file->size == room) {
			char *data;

			room = room ? 2 * room : 65536;
			data = realloc(file->data, room);
			if (!data)
				return fail(error, -ENOMEM, "%s: there is not enough memory to read it", file->name);
			file->data = data;
		}
		got = read(fd, file->data + file->size, room - file->size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(error, -errno, "%s: cannot be read: %m", file->name);
		if (!got)
			return 0;
		file->size += (size_t)got;
		if (file->size > MAX_FILE_SIZE)
			return fail(error, -EFBIG, "%s: is larger than %zu MiB: this is no configuration", file->name,
				    MAX_FILE_SIZE >> 20);
	}
}

static int read_file(struct file *file, struct error *error)
{
	struct stat status;
	int fd, err;

	fd = open(file->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fail(error, -errno, "%s: cannot be opened: %m", file->name);
	if (!fstat(fd, &status) && S_ISDIR(status.st_mode))
		err = fail(error, -EISDIR, "%s: is a directory: name a file", file->name);
	else
		err = read_all(fd, file, error);
	close(fd);
	return err;
}

static int fail_at(struct error *error, int code, const struct file *file, const struct flaw *flaw)
{
	return fail(error, code, "%s:%u: %s", file->name, flaw->line, flaw->text);
}

static int fail_problem(struct error *error, const struct file *file, const struct document *document,
			const struct problem *problem)
{
	return fail(error, -EINVAL, "%s:%u: %s: %s", file->name, document_line(document, problem->path), problem->path,
		    problem->text);
}

/* Keeps the first line that libcyaml logs: what it found. The rest is its way down to there. */
__attribute__((format(printf, 3, 0))) static void keep_first(cyaml_log_t level, void *ctx, const char *format,
							     va_list args)
{
	struct flaw *flaw = ctx;

	(void)level;
	if (flaw->text[0])
		return;
	vsnprintf(flaw->text, sizeof(flaw->text), format, args);
	flaw->text[strcspn(flaw->text, "\n")] = '\0';
}

/* What the data is to be: its schema, and who gives it its meaning (0, -EINVAL with *ret_problem, or -ENOMEM). */
struct kind {
	const cyaml_schema_value_t *schema;
	int (*read)(const void *text, void *ret, struct problem *ret_problem);
};

static int read_config(const void *text, void *ret, struct problem *ret_problem)
{
	struct model model = {};
	int err = config_parse(text, &model, ret_problem);

	if (!err)
		err = validate_model(&model, ret_problem);
	if (err < 0)
		model_free(&model);
	else
		*(struct model *)ret = model;
	return err;
}

static int read_plan(const void *text, void *ret, struct problem *ret_problem)
{
	struct rollout_plan plan;
	int err = read_rollout(text, "", &plan, ret_problem);

	if (!err)
		*(struct rollout_plan *)ret = plan;
	return err;
}

static const struct kind config_kind = {&config_schema, read_config};
static const struct kind plan_kind = {&rollout_schema, read_plan};

/* A plan in a file of its own: as of a service that has nothing else. */
static int read_lone(const struct rollout_text *text, const char *path, struct model *ret, struct problem *ret_problem)
{
	struct model model = {};
	struct service_model *service = model_add_service(&model);
	int err = -ENOMEM;

	if (service)
		service->rollout = calloc(1, sizeof(*service->rollout));
	if (!service || !service->rollout)
		goto out;
	service->proto = IPPROTO_TCP;
	err = read_rollout(text, path, service->rollout, ret_problem);
out:
	if (err)
		model_free(&model);
	else
		*ret = model;
	return err;
}

static int read_lone_plan(const void *text, void *ret, struct problem *ret_problem)
{
	return read_lone(text, "", ret, ret_problem);
}

static int read_plan_file(const void *text, void *ret, struct problem *ret_problem)
{
	return read_lone(((const struct plan_file_text *)text)->rollout, "rollout.", ret, ret_problem);
}

static const struct kind lone_plan_kind = {&rollout_schema, read_lone_plan};
static const struct kind plan_file_kind = {&plan_file_schema, read_plan_file};
/* One of these, as the document says. */
static const struct kind config_or_plan_kind = {};

static int parse_document(const struct file *file, const struct document *document, const struct kind *kind, void *ret,
			  struct error *error)
{
	struct flaw flaw = {.line = 1};
	const cyaml_config_t cyaml = {
		.log_fn = keep_first,
		.log_ctx = &flaw,
		.log_level = CYAML_LOG_ERROR,
		.mem_fn = cyaml_mem,
		.flags = CYAML_CFG_NO_ALIAS,
	};
	struct problem problem = {};
	cyaml_data_t *text = NULL;
	cyaml_err_t status;
	int err;

	status = cyaml_load_data((const uint8_t *)file->data, file->size, &cyaml, kind->schema, &text, NULL);
	if (status == CYAML_ERR_OOM)
		return fail(error, -ENOMEM, "%s: there is not enough memory to read it", file->name);
	if (status != CYAML_OK) {
		document_compare(document, kind->schema, &flaw);
		return fail_at(error, -EINVAL, file, &flaw);
	}
	err = kind->read(text, ret, &problem);
	cyaml_free(&cyaml, kind->schema, text, 0);
	if (err == -ENOMEM)
		return fail(error, err, "%s: there is not enough memory to read it", file->name);
	if (err < 0)
		return fail_problem(error, file, document, &problem);
	return 0;
}

static int parse(const struct file *file, const struct kind *kind, void *ret, struct error *error)
{
	struct document *document = NULL;
	struct flaw flaw = {};
	int err = document_open(file->data, file->size, &document, &flaw);

	if (err < 0)
		return fail_at(error, err, file, &flaw);
	if (kind == &config_or_plan_kind)
		kind = document_has(document, "services")  ? &config_kind
		       : document_has(document, "rollout") ? &plan_file_kind
							   : &lone_plan_kind;
	err = parse_document(file, document, kind, ret, error);
	document_close(document);
	return err;
}

static int load(const char *name, const struct kind *kind, void *ret, struct error *error)
{
	struct file file = {.name = name};
	int err = read_file(&file, error);

	if (!err)
		err = parse(&file, kind, ret, error);
	free(file.data);
	return err;
}

int config_load(const char *name, struct model *ret, struct error *error)
{
	return load(name, &config_kind, ret, error);
}

int config_read(const char *name, const char *text, struct model *ret, struct error *error)
{
	const struct file file = {.name = name, .data = (char *)text, .size = strlen(text)};

	return parse(&file, &config_kind, ret, error);
}

int config_load_json(const char *name, json_t **ret, struct error *error)
{
	struct file file = {.name = name};
	struct document *document = NULL;
	struct flaw flaw = {};
	struct model model;
	int err = read_file(&file, error);

	if (!err)
		err = parse(&file, &config_kind, &model, error);
	if (!err) {
		model_free(&model);
		err = document_open(file.data, file.size, &document, &flaw);
		if (err)
			fail_at(error, err, &file, &flaw);
	}
	if (!err)
		*ret = document_json(document);
	document_close(document);
	free(file.data);
	return err;
}

int config_or_plan_load(const char *file, const char *name, struct model *ret, struct error *error)
{
	int err = load(file, &config_or_plan_kind, ret, error);

	if (!err && ret->service_count == 1 && !ret->services->name[0])
		snprintf(ret->services->name, sizeof(ret->services->name), "%s", name);
	return err;
}

int plan_load(const char *name, struct rollout_plan *ret, struct error *error)
{
	return load(name, &plan_kind, ret, error);
}

int plan_parse(const char *name, const char *text, struct rollout_plan *ret, struct error *error)
{
	const struct file file = {.name = name, .data = (char *)text, .size = strlen(text)};

	return parse(&file, &plan_kind, ret, error);
}
