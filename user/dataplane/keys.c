/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of the hashes, in a file of their own: whoever has it chooses alike, after a reboot or beside us. One line of
 * text: "canary-keys 1 " and the bytes of struct canary_keys in hexadecimal.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "canary/hash.h"
#include "dataplane/internal.h"

#define KEYS_MAGIC "canary-keys 1 "
#define KEYS_TEXT_LEN (sizeof(KEYS_MAGIC) - 1 + 2 * sizeof(struct canary_keys))

static const char *key_file = DATAPLANE_DEFAULT_KEY_FILE;

void dataplane_use_key_file(const char *path)
{
	key_file = path ? path : DATAPLANE_DEFAULT_KEY_FILE;
}

static int parse_keys(const char *text, struct canary_keys *ret)
{
	__u8 *bytes = (__u8 *)ret;

	if (strncmp(text, KEYS_MAGIC, sizeof(KEYS_MAGIC) - 1))
		return -EINVAL;
	text += sizeof(KEYS_MAGIC) - 1;
	for (size_t i = 0; i < sizeof(*ret); i++)
		if (sscanf(text + 2 * i, "%2hhx", &bytes[i]) != 1)
			return -EINVAL;
	return 0;
}

static int read_keys(int fd, struct canary_keys *ret, struct error *error)
{
	char text[KEYS_TEXT_LEN + 1] = "";
	struct stat status;

	if (fstat(fd, &status))
		return fail(error, -errno, "cannot read the key file %s: %s", key_file, explain_errno(errno));
	if (status.st_mode & 077)
		return fail(error, -EPERM,
			    "the key file %s is open to others: who knows the keys can choose its cohort: chmod 600 it",
			    key_file);
	if (read(fd, text, KEYS_TEXT_LEN) != KEYS_TEXT_LEN || parse_keys(text, ret))
		return fail(
			error, -EINVAL,
			"%s is not a key file: remove it for new keys (clients then change cohorts), or give another "
			"with --key-file",
			key_file);
	return 0;
}

int keys_give(const char *path)
{
	char directory[256];
	struct stat status;
	char *slash;

	snprintf(directory, sizeof(directory), "%s", key_file);
	slash = strrchr(directory, '/');
	if (!slash)
		return 0;
	*slash = 0;
	if (stat(directory, &status) || status.st_uid == geteuid() || geteuid())
		return 0;
	return lchown(path, status.st_uid, status.st_gid) ? -errno : 0;
}

/* Makes the directories above the file. */
static void make_parents(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s", key_file);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0755);
		*slash = '/';
	}
}

static int make_keys(struct canary_keys *ret, struct error *error)
{
	char temporary[300], text[KEYS_TEXT_LEN + 2];
	const __u8 *bytes = (const __u8 *)ret;
	int fd, len, result = 0;

	if (getrandom(ret, sizeof(*ret), 0) != sizeof(*ret))
		return fail(error, -EIO, "the kernel has no random numbers for the keys of the hashes");
	make_parents();
	len = snprintf(text, sizeof(text), "%s", KEYS_MAGIC);
	for (size_t i = 0; i < sizeof(*ret); i++)
		len += snprintf(text + len, sizeof(text) - len, "%02x", bytes[i]);
	text[len++] = '\n';
	snprintf(temporary, sizeof(temporary), "%s.%d", key_file, getpid());
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, len) != len || fsync(fd))
		result = -errno;
	if (fd >= 0)
		close(fd);
	/* link() leaves a file alone that somebody else made meanwhile; it is read then. */
	if (!result && link(temporary, key_file) && errno != EEXIST)
		result = -errno;
	unlink(temporary);
	return result ? fail(error, result, "cannot make the key file %s: %s: give another place with --key-file",
			     key_file, explain_errno(result))
		      : 0;
}

int keys_load(struct canary_keys *ret, struct error *error)
{
	int fd = open(key_file, O_RDONLY | O_CLOEXEC);
	int result;

	if (fd < 0 && errno == ENOENT) {
		result = make_keys(ret, error);
		if (result)
			return result;
		fd = open(key_file, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return fail(error, -errno, "cannot open the key file %s: %s", key_file, explain_errno(errno));
	result = read_keys(fd, ret, error);
	close(fd);
	return result;
}

__u64 keys_salt(const struct canary_keys *keys, const struct service_model *service)
{
	__u64 salt = canary_hash_client(keys, &service->addr) ^ keys->slot;

	salt = canary_mix64(salt) ^ ((__u64)service->proto << 48 | (__u64)service->port << 32 | service->salt_number);
	salt = canary_mix64(salt ^ keys->flow[10] ^ (__u64)keys->flow[11] << 32);
	return salt ? salt : 1;
}
