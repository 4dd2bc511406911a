/* address.c - addresses as text, and whom caps and rates count as one. */
#include <arpa/inet.h>

#include "loop/loop_priv.h"

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool conn_address_is_v4(const struct conn_address *address)
{
	return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

void conn_address_set_v4(struct conn_address *address, const uint8_t bytes[4])
{
	memcpy(address->bytes, v4_prefix, sizeof(v4_prefix));
	memcpy(address->bytes + sizeof(v4_prefix), bytes, 4);
}

void conn_address_complete(struct conn_address *address)
{
	static const uint8_t v6_loopback[16] = {[15] = 1};

	address->loopback = conn_address_is_v4(address) ? address->bytes[12] == 127 : memcmp(address->bytes, v6_loopback, 16) == 0;
}

static enum err parse_host(struct str host, struct conn_address *out)
{
	char text[INET6_ADDRSTRLEN + 1];
	bool bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
	struct in_addr v4;

	if (bracketed) {
		host = str_sub(host, 1, host.len - 2);
	}
	if (host.len >= sizeof(text) || memchr(host.at, 0, host.len)) {
		return ERR_INVALID;
	}
	str_to_z(str_eq_case(host, STR("localhost")) && !bracketed ? STR("127.0.0.1") : host, text, sizeof(text));
	if (bracketed) {
		return inet_pton(AF_INET6, text, out->bytes) == 1 ? ERR_OK : ERR_INVALID;
	}
	if (inet_pton(AF_INET, text, &v4) != 1) {
		return ERR_INVALID;
	}
	conn_address_set_v4(out, (const uint8_t *)&v4);
	return ERR_OK;
}

enum err conn_address_parse(struct str text, struct conn_address *out)
{
	size_t colon = text.len;
	uint64_t port;

	*out = (struct conn_address){0};
	while (colon > 0 && text.at[colon - 1] != ':') {
		colon--;
	}
	if (colon < 2 || text.len - colon > 5 || !str_to_u64(str_sub(text, colon, text.len - colon), &port) ||
	    port > UINT16_MAX || parse_host(str_sub(text, 0, colon - 1), out)) {
		return ERR_INVALID;
	}
	out->port = (uint16_t)port;
	conn_address_complete(out);
	return ERR_OK;
}

void conn_address_site(const struct conn_address *address, uint8_t out[16])
{
	memset(out, 0, 16);
	memcpy(out, address->bytes, conn_address_is_v4(address) ? 16 : 8);
}
