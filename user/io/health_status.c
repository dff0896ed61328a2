/* SPDX-License-Identifier: Apache-2.0 */
#include "io/health_status.h"

static bool is_digit(__u8 byte)
{
	return byte >= '0' && byte <= '9';
}

static bool is_one_of(__u8 byte, const char *those)
{
	while (*those && (__u8)*those != byte)
		those++;
	return *those;
}

static enum status_found read_status_line(struct status_reader *reader, __u8 byte)
{
	static const char form[] = "HTTP/1.# ###";
	__u8 wanted = (__u8)form[reader->at];
	bool ended = !wanted;
	bool fits = ended ? is_one_of(byte, " \r\n") : wanted == '#' ? is_digit(byte) : wanted == byte;

	if (!fits)
		return STATUS_IS_NOT_HTTP;
	if (!ended) {
		/* The version's digit is among them, and falls out at the blank. */
		reader->status = is_digit(byte) ? reader->status * 10 + (byte - '0') : 0;
		reader->at++;
		return STATUS_NEEDS_MORE;
	}
	if (reader->status < 100)
		return STATUS_IS_NOT_HTTP;
	/* After 101 another protocol is spoken: it is final. */
	if (reader->status >= 200 || reader->status == 101)
		return STATUS_FOUND;
	reader->in_interim = true;
	if (byte == '\n')
		reader->at = 0;
	return STATUS_NEEDS_MORE;
}

/* An empty line ends it. */
static void read_interim(struct status_reader *reader, __u8 byte)
{
	if (byte == '\n' && !reader->at)
		*reader = (struct status_reader){};
	else if (byte == '\n')
		reader->at = 0;
	else if (byte != '\r')
		reader->at = 1;
}

enum status_found status_read(struct status_reader *reader, const __u8 *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		enum status_found found = STATUS_NEEDS_MORE;

		if (reader->in_interim)
			read_interim(reader, bytes[i]);
		else
			found = read_status_line(reader, bytes[i]);
		if (found != STATUS_NEEDS_MORE)
			return found;
	}
	return STATUS_NEEDS_MORE;
}
