/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl doctor */
#include "cli/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/interface.h"
#include "cli/output.h"
#include "cli/view.h"

static const struct {
	const char *name;
	void (*run)(struct doctor *doctor);
} checks[] = {
#define X(name, help) {#name, check_##name},
	DOCTOR_CHECKS(X)
#undef X
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static const struct {
	const char *name, *text, *total; /* of one in JSON and in text; of all of them */
	enum style style;
} findings[FINDINGS] = {
	[FINDING_OK] = {"ok", "ok", "ok", STYLE_PLAIN},
	[FINDING_WARNING] = {"warning", "warning", "warnings", STYLE_BOLD},
	[FINDING_PROBLEM] = {"problem", "PROBLEM", "problems", STYLE_ALARM},
	[FINDING_NOT_APPLICABLE] = {"not_applicable", "-", "not_applicable", STYLE_PLAIN},
};

void found(struct doctor *doctor, enum finding finding, const char *subject, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	json_array_append_new(doctor->findings,
			      json_pack("{s:s, s:s, s:o, s:o, s:n}", "check", doctor->check, "state",
					findings[finding].name, "subject", subject ? json_text(subject) : json_null(),
					"found", json_text(text), "advice"));
	free(text);
}

void advise(struct doctor *doctor, const char *format, ...)
{
	json_t *last = json_array_get(doctor->findings, json_array_size(doctor->findings) - 1);
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	json_object_set_new(last, "advice", json_text(text));
	free(text);
}

bool doctor_sees_ways(struct doctor *doctor)
{
	__u32 here = netns_inode();

	if (!doctor->model.service_count) {
		found(doctor, FINDING_NOT_APPLICABLE, NULL, "there are no services");
		return false;
	}
	for (size_t i = 0; i < doctor->attached_count; i++)
		if (!doctor->attached[i].gone && doctor->attached[i].netns == here)
			return true;
	found(doctor, FINDING_NOT_APPLICABLE, NULL, "nothing is attached in this network namespace");
	return false;
}

/* What cannot be read is for the checks to say. */
static void read_dataplane(struct doctor *doctor)
{
	doctor->unread = dataplane_open(doctor->cli->dir, DATAPLANE_READ, &doctor->dataplane, &doctor->why);
	if (!doctor->unread)
		doctor->unread = dataplane_read(doctor->dataplane, NULL, &doctor->model, &doctor->why);
	if (!doctor->unread)
		doctor->unread =
			list_interfaces(doctor->dataplane, &doctor->attached, &doctor->attached_count, &doctor->why);
	if (!doctor->unread)
		return;
	dataplane_close(doctor->dataplane);
	doctor->dataplane = NULL;
}

static void read_decap(struct doctor *doctor)
{
	char dir[PATH_MAX];
	struct error ignored;

	decap_dir(doctor->cli, dir);
	if (decap_list(dir, &doctor->decaps, &doctor->decap_count, &ignored))
		doctor->decap_count = 0;
}

static bool is_here(const struct interface *interface)
{
	return !interface->gone && interface->netns == netns_inode();
}

static void add_patient(struct doctor *doctor, unsigned ifindex)
{
	struct patient patient = {};

	for (size_t i = 0; i < doctor->patient_count; i++)
		if (doctor->patients[i].link.ifindex == ifindex)
			return;
	if (netlink_link_by_index(doctor->netlink, ifindex, &patient.link))
		return; /* it has gone this moment */
	for (size_t i = 0; i < doctor->decap_count; i++) {
		const struct interface *interface = &doctor->decaps[i].interface;

		if (is_here(interface) && interface->ifindex == ifindex) {
			patient.attached = interface;
			patient.decap = true;
		}
	}
	for (size_t i = 0; i < doctor->attached_count; i++) {
		if (is_here(&doctor->attached[i]) && doctor->attached[i].ifindex == ifindex) {
			patient.attached = &doctor->attached[i];
			patient.decap = false;
		}
	}
	doctor->patients = must(reallocarray(doctor->patients, doctor->patient_count + 1, sizeof(*doctor->patients)));
	doctor->patients[doctor->patient_count++] = patient;
}

static int find_patients(struct doctor *doctor, struct error *error)
{
	for (int i = 0; i < doctor->cli->argument_count; i++) {
		struct interface interface;
		int err = interface_find(doctor->netlink, doctor->cli->arguments[i], &interface, error);

		if (err)
			return err;
		add_patient(doctor, interface.ifindex);
	}
	if (doctor->cli->argument_count)
		return 0;
	for (size_t i = 0; i < doctor->attached_count; i++)
		if (is_here(&doctor->attached[i]))
			add_patient(doctor, doctor->attached[i].ifindex);
	for (size_t i = 0; i < doctor->decap_count; i++)
		if (is_here(&doctor->decaps[i].interface))
			add_patient(doctor, doctor->decaps[i].interface.ifindex);
	return 0;
}

static size_t count(const json_t *all, enum finding finding)
{
	size_t i, total = 0;
	json_t *each;

	json_array_foreach (all, i, each)
		total += !strcmp(text_of(each, "state"), findings[finding].name);
	return total;
}

static void print_finding(struct table *table, const json_t *view)
{
	const char *subject = text_of(view, "subject"), *advice = text_of(view, "advice");
	enum finding finding = 0;

	while (strcmp(findings[finding].name, text_of(view, "state")) != 0)
		finding++;
	table_left(table, findings[finding].style, "%s", findings[finding].text);
	table_left(table, STYLE_PLAIN, "%s", text_of(view, "check"));
	table_left(table, STYLE_PLAIN, "%s%s%s", subject, *subject ? ": " : "", text_of(view, "found"));
	table_end_row(table);
	if (!*advice)
		return;
	table_left(table, STYLE_PLAIN, "%s", "");
	table_left(table, STYLE_PLAIN, "%s", "");
	table_left(table, STYLE_BOLD, "to do: %s", advice);
	table_end_row(table);
}

static void show(const struct doctor *doctor)
{
	const json_t *all = doctor->findings;
	struct table table = {};
	json_t *each;
	size_t i;

	if (doctor->cli->json) {
		json_t *view = json_pack("{s:O}", "checks", all);

		for (i = 0; i < FINDINGS; i++)
			json_object_set_new(view, findings[i].total, json_integer((json_int_t)count(all, i)));
		print_json(view);
		return;
	}
	json_array_foreach (all, i, each)
		print_finding(&table, each);
	table_print(&table, doctor->cli, 0);
	printf("\n%zu ok, warnings: %zu, problems: %zu, not applicable: %zu\n", count(all, FINDING_OK),
	       count(all, FINDING_WARNING), count(all, FINDING_PROBLEM), count(all, FINDING_NOT_APPLICABLE));
}

static int examine(struct doctor *doctor, struct error *error)
{
	size_t problems;

	for (size_t i = 0; i < CHECKS; i++) {
		doctor->check = checks[i].name;
		checks[i].run(doctor);
	}
	show(doctor);
	problems = count(doctor->findings, FINDING_PROBLEM);
	return problems ? fail(error, CLI_FAILED, "%zu problem%s", problems, problems == 1 ? "" : "s") : CLI_DONE;
}

int cmd_doctor(const struct cli *cli, struct error *error)
{
	struct doctor doctor = {.cli = cli, .netlink = netlink_open(), .findings = json_array()};
	int code = CLI_FAILED;

	if (!doctor.netlink)
		return fail(error, CLI_FAILED, "cannot open a netlink socket: %s", strerror(errno));
	read_dataplane(&doctor);
	read_decap(&doctor);
	if (!find_patients(&doctor, error))
		code = examine(&doctor, error);
	free(doctor.patients);
	free(doctor.attached);
	decap_free(doctor.decaps, doctor.decap_count);
	json_decref(doctor.findings);
	model_free(&doctor.model);
	dataplane_close(doctor.dataplane);
	netlink_close(doctor.netlink);
	return code;
}
