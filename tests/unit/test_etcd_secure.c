/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, users and passwords, at real members that ask for them; and files that others may read. */
#include "lib_etcd.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/privileges.h"

#define WAIT 30000 /* ms: long enough on any machine */
#define PASSWORD "correct-horse-battery"

static struct test_client client;

static void make_certificate(const char *name, const char *authority, const char *address)
{
	run("openssl req -newkey rsa:2048 -nodes -keyout %s.key -subj /CN=%s -out %s.csr 2>/dev/null && "
	    "echo subjectAltName=IP:%s >%s.ext && openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key "
	    "-CAcreateserial -days 2 -extfile %s.ext -out %s.pem 2>/dev/null && chmod 600 %s.key",
	    name, name, name, address, name, name, authority, authority, name, name, name);
}

/* Member 1 wants certificates; member 2's own is for another address; member 3 wants users, once they are asked for. */
static int start_group(void **state)
{
	char more[512];

	if (etcd_set_up(state))
		return -1;
	for (int i = 0; i < 2; i++)
		run("openssl req -x509 -newkey rsa:2048 -nodes -keyout %s.key -subj /CN=%s -days 2 -out %s.pem "
		    "2>/dev/null",
		    i ? "other" : "ca", i ? "other" : "ca", i ? "other" : "ca");
	make_certificate("server", "ca", "127.0.0.1,DNS:localhost");
	make_certificate("elsewhere", "ca", "127.0.0.2");
	make_certificate("client", "ca", "127.0.0.3");
	make_certificate("stranger", "other", "127.0.0.3");
	for (int i = 1; i <= 2; i++) {
		const char *name = i == 1 ? "server" : "elsewhere";

		snprintf(more, sizeof(more), "--cert-file %s/%s.pem --key-file %s/%s.key --trusted-ca-file %s/ca.pem%s",
			 etcd_directory, name, etcd_directory, name, etcd_directory,
			 i == 1 ? " --client-cert-auth" : "");
		cluster_start(i, i, "https", more);
	}
	cluster_start(3, 3, "http", "--auth-token-ttl 1");
	run("until " CTL "endpoint health >/dev/null 2>&1; do sleep 0.1; done", port_of(3));
	return 0;
}

static void name_file(char ret[FLEET_PATH_LEN], const char *name)
{
	snprintf(ret, FLEET_PATH_LEN, "%s/%s", etcd_directory, name);
}

static struct etcd_settings secure(int member, const char *ca, const char *name)
{
	struct etcd_settings settings = settings_of("https", member, member);

	if (ca)
		name_file(settings.ca, ca);
	if (name) {
		name_file(settings.cert, name);
		strcat(settings.cert, ".pem");
		name_file(settings.key, name);
		strcat(settings.key, ".key");
	}
	return settings;
}

static void test_certificates_let_in(void **state)
{
	const struct etcd_settings settings = secure(1, "ca.pem", "client");
	static struct test_watch watch;

	(void)state;
	client_open(&client, &settings, 0);
	watch_begin(&client, &watch, "/s/", 1);
	assert_done(ask_put(&client, "/s/x", "1"));
	drive_until(&client, &watch.events, 1, WAIT);
	assert_string_equal(ask_get(&client, "/s/x").values_shown[0], "1");
	client_close(&client);
}

static void assert_kept_out(const struct etcd_settings *settings, const char *sentence)
{
	struct outcome outcome = {};
	struct error error;

	client_open(&client, settings, 0);
	assert_int_equal(etcd_put(client.etcd, "/s/y", "1", 0, 4000, note, &outcome, NULL, &error), 0);
	drive_until(&client, &outcome.count, 1, WAIT);
	assert_code(outcome, -ETIMEDOUT, sentence);
	assert_null(strstr(client.told, PASSWORD));
	assert_null(strstr(client.told, "wrong-password"));
	client_close(&client);
}

static void test_others_are_kept_out(void **state)
{
	struct etcd_settings settings;

	(void)state;
	settings = secure(1, "ca.pem", NULL);
	assert_kept_out(&settings, "alert bad certificate");
	settings = secure(1, "ca.pem", "stranger");
	assert_kept_out(&settings, "alert bad certificate");
	/* And so are servers that are not who they should be. */
	settings = secure(1, "other.pem", "client");
	assert_kept_out(&settings, "SSL certificate problem: ");
	settings = secure(1, NULL, "client");
	assert_kept_out(&settings, "SSL certificate problem: ");
	settings = secure(2, "ca.pem", NULL);
	assert_kept_out(&settings, "no alternative certificate subject name matches target host name '127.0.0.1'");
	/* Who speaks in clear is not spoken to. */
	settings = secure(3, "ca.pem", NULL);
	assert_kept_out(&settings, "https://127.0.0.1:2399");
}

static void assert_not_opened(const struct etcd_settings *settings, int code, const char *sentence)
{
	struct etcd *etcd = NULL;
	struct error error = {};

	assert_int_equal(etcd_open(settings, 0, NULL, NULL, &etcd, &error), code);
	assert_null(etcd);
	if (!strstr(error.text, sentence))
		fail_msg("%s\nshould say: %s", error.text, sentence);
}

/* Can it be read from, by this process as it is? No assertion: for children. */
static bool reads(const struct etcd_settings *settings)
{
	struct test_client *own = calloc(1, sizeof(*own));
	struct outcome outcome = {};
	struct error error;

	if (etcd_open(settings, 0, NULL, NULL, &own->etcd, &error) ||
	    etcd_range(own->etcd, &(struct etcd_range){.key = "/s/x"}, 5000, note, &outcome, NULL, &error))
		return false;
	while (!outcome.count)
		drive_for(own, 100);
	if (outcome.result.error)
		print_message("%s\n", outcome.sentence);
	client_close(own);
	free(own);
	return !outcome.result.error;
}

/* What a child of our own says, with its exit code. */
static void assert_child(bool (*says)(void))
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(!says());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static bool works_with_the_daemons_privileges(void)
{
	struct etcd_settings settings = secure(1, "ca.pem", "client");
	struct error error;

	/* By name: that takes a thread, and what the system asks names with. */
	strcpy(settings.endpoints[0], "https://localhost:2379");
	return !privileges_drop("canary", etcd_directory, &error) && reads(&settings);
}

static void test_it_works_with_the_daemons_privileges(void **state)
{
	(void)state;
	assert_child(works_with_the_daemons_privileges);
}

/* Member 1's authority is one of the system's. */
static bool an_authority_that_is_given_is_the_only_one(void)
{
	const struct etcd_settings other = secure(1, "other.pem", "client"), system = secure(1, NULL, "client");

	if (unshare(CLONE_NEWNS))
		return false;
	run("mount --make-rprivate / && mount -t tmpfs none /etc/ssl/certs && cp other.pem "
	    "/etc/ssl/certs/ca-certificates.crt && "
	    "cp ca.pem /etc/ssl/certs/$(openssl x509 -hash -noout -in ca.pem).0");
	return reads(&system) && !reads(&other);
}

static void test_an_authority_that_is_given_is_the_only_one(void **state)
{
	(void)state;
	assert_child(an_authority_that_is_given_is_the_only_one);
}

static void test_secrets_that_others_may_read_are_refused(void **state)
{
	struct etcd_settings settings = secure(1, "ca.pem", "client");

	(void)state;
	run("chmod 640 client.key");
	assert_not_opened(&settings, -EPERM, "client.key: may be read by others: chmod 600 it");
	run("chmod 604 client.key");
	assert_not_opened(&settings, -EPERM, "client.key: may be read by others: chmod 600 it");
	run("chmod 600 client.key && chown 1 client.key");
	assert_not_opened(&settings, -EPERM, "client.key: belongs to user 1");
	run("chown 0 client.key && mv client.key away.key");
	assert_not_opened(&settings, -ENOENT, "client.key: cannot be read: No such file");
	run("mkdir client.key");
	assert_not_opened(&settings, -EINVAL, "client.key: is no file");
	run("rmdir client.key && mv away.key client.key");
	name_file(settings.ca, "none.pem");
	assert_not_opened(&settings, -ENOENT, "none.pem: cannot be read");
	settings = settings_of("http", 3, 3);
	strcpy(settings.user, "canary");
	name_file(settings.password_file, "password");
	run("echo " PASSWORD " >password && chmod 644 password");
	assert_not_opened(&settings, -EPERM, "password: may be read by others: chmod 600 it");
	run("chmod 600 password");
}

static struct etcd_settings as_user(void)
{
	struct etcd_settings settings = settings_of("http", 3, 3);

	strcpy(settings.user, "canary");
	name_file(settings.password_file, "password");
	return settings;
}

static void write_password(const char *password)
{
	run("printf '%%s\\nthe rest is nothing\\n' '%s' >password && chmod 600 password", password);
}

/* From here on member 3 wants to know who asks. */
static void test_who_is_asked_for_later_says_so_then(void **state)
{
	const struct etcd_settings settings = as_user(), nobody = settings_of("http", 3, 3);
	struct test_client anonymous;

	(void)state;
	write_password(PASSWORD);
	client_open(&client, &settings, 0);
	client_open(&anonymous, &nobody, 0);
	assert_done(ask_put(&client, "/canary/x", "1"));
	assert_done(ask_get(&anonymous, "/canary/x"));
	run("{ " CTL "user add root:root && " CTL "user grant-role root root; " CTL "user add canary:" PASSWORD
	    " && " CTL "role add canary && " CTL "role grant-permission canary --prefix=true readwrite /canary/ && " CTL
	    "user grant-role canary canary && " CTL "auth enable; } >/dev/null",
	    port_of(3), port_of(3), port_of(3), port_of(3), port_of(3), port_of(3), port_of(3));
	assert_done(ask_put(&client, "/canary/x", "2"));
	assert_code(ask_get(&anonymous, "/canary/x"), -EACCES, "it wants to know who asks");
	client_close(&client);
	client_close(&anonymous);
}

static void test_a_user_may_what_it_may(void **state)
{
	const struct etcd_settings settings = as_user();
	static struct test_watch watch, other;
	struct outcome outcome;

	(void)state;
	client_open(&client, &settings, 0);
	outcome = ask_put(&client, "/canary/x", "3");
	assert_done(outcome);
	watch_begin(&client, &watch, "/canary/", outcome.revision);
	drive_until(&client, &watch.events, 1, WAIT);
	assert_code(ask_put(&client, "/other", "1"), -EACCES, "permission denied");
	assert_code(ask_get(&client, "/other"), -EACCES, "permission denied");
	watch_begin(&client, &other, "/other/", 1);
	drive_until(&client, &other.lost, 1, WAIT);
	assert_int_equal(other.error, -EACCES);
	/* That is no reason to leave the member. */
	assert_done(ask_get(&client, "/canary/x"));
	assert_int_equal(watch.lost, 0);
	assert_int_equal(client.changes, 1);
	client_close(&client);
}

static void test_a_token_that_is_over_is_renewed(void **state)
{
	const struct etcd_settings settings = as_user();
	static struct test_watch watches[2];
	struct outcome outcome;

	(void)state;
	client_open(&client, &settings, 0);
	outcome = ask_get(&client, "/canary/x");
	assert_done(outcome);
	for (int i = 0; i < 2; i++) {
		/* A token lives for a second, and nothing is asked meanwhile. */
		drive_for(&client, 3000);
		watch_begin(&client, &watches[i], "/canary/", outcome.revision + 1);
		drive_for(&client, 3000);
		assert_done(ask_put(&client, "/canary/x", "4"));
		drive_until(&client, &watches[i].events, 1, WAIT);
	}
	drive_until(&client, &watches[0].events, 2, WAIT);
	assert_int_equal(watches[0].lost + watches[1].lost, 0);
	assert_int_equal(client.changes, 1);
	/* A member that was away has forgotten it. */
	member_kill(3);
	member_start(3);
	assert_done(ask_put(&client, "/canary/x", "5"));
	drive_until(&client, &watches[0].events, 3, WAIT);
	client_close(&client);
}

static void test_a_wrong_password_is_said_and_a_new_one_read(void **state)
{
	const struct etcd_settings settings = as_user();

	(void)state;
	write_password("wrong-password");
	assert_kept_out(&settings, "does not let user canary in: authentication failed, invalid user ID or password");
	write_password("");
	assert_kept_out(&settings, "password: its first line is empty");
	run("printf '\\377\\n' >password");
	assert_kept_out(&settings, "password: is no text");
	run("head -c 2000 /dev/zero | tr '\\0' x >password");
	assert_kept_out(&settings, "password: its first line is longer than 1023 bytes");
	/* Mended while the client is there. */
	client_open(&client, &settings, 0);
	drive_for(&client, 500);
	write_password(PASSWORD);
	assert_done(ask_get(&client, "/canary/x"));
	client_close(&client);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates_let_in),
		cmocka_unit_test(test_others_are_kept_out),
		cmocka_unit_test(test_it_works_with_the_daemons_privileges),
		cmocka_unit_test(test_an_authority_that_is_given_is_the_only_one),
		cmocka_unit_test(test_secrets_that_others_may_read_are_refused),
		cmocka_unit_test(test_who_is_asked_for_later_says_so_then),
		cmocka_unit_test(test_a_user_may_what_it_may),
		cmocka_unit_test(test_a_token_that_is_over_is_renewed),
		cmocka_unit_test(test_a_wrong_password_is_said_and_a_new_one_read),
	};

	return cmocka_run_group_tests(tests, start_group, etcd_tear_down);
}
