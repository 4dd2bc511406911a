/* address.c - the registries of special addresses and names (IANA; RFC 6890, RFC 6761) as tables. */
#include "wire/address.h"

#include <arpa/inet.h>

#define HOST_BYTES_MAX 255

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

static bool v4_public(uint32_t a)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} refused[] = {
		{0x00000000, 8},  /* this network */
		{0x0A000000, 8},  /* private */
		{0x64400000, 10}, /* carrier-grade NAT */
		{0x7F000000, 8},  /* loopback */
		{0xA9FE0000, 16}, /* link-local, cloud metadata */
		{0xAC100000, 12}, /* private */
		{0xC0000000, 24}, /* protocol assignments */
		{0xC0000200, 24}, /* documentation */
		{0xC0586300, 24}, /* relays of 6to4 */
		{0xC0A80000, 16}, /* private */
		{0xC6120000, 15}, /* benchmarks */
		{0xC6336400, 24}, /* documentation */
		{0xCB007100, 24}, /* documentation */
		{0xE0000000, 3},  /* multicast, reserved, broadcast */
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if ((a ^ refused[i].net) >> (32 - refused[i].bits) == 0) {
			return false;
		}
	}
	return true;
}

static uint32_t be32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Only 2000::/3 is handed out. */
bool address_public(const uint8_t b[16])
{
	static const uint8_t nat64[12] = {0, 0x64, 0xFF, 0x9B};
	uint32_t first = be32(b);

	if (memcmp(b, v4_mapped, sizeof(v4_mapped)) == 0 || memcmp(b, nat64, sizeof(nat64)) == 0) {
		return v4_public(be32(b + 12));
	}
	if (first >> 16 == 0x2002) {
		return v4_public(be32(b + 2));
	}
	/* 2001::/23 is for protocols (Teredo carries an IPv4 address), 2001:db8::/32 for documents. */
	if (first >> 9 == 0x20010000 >> 9 || first == 0x20010DB8) {
		return false;
	}
	return b[0] >> 5 == 1;
}

static bool name_public(struct str host)
{
	static const char *const refused[] = {"localhost", "localdomain", "local", "internal", "lan", "home.arpa", "intranet", "corp", "home"};

	if (str_find_byte(host, '.') < 0) {
		return false; /* a bare name means something near */
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct str end = str_of(refused[i]);
		if (host.len > end.len && host.at[host.len - end.len - 1] == '.' &&
		    str_eq_case(str_sub(host, host.len - end.len, end.len), end)) {
			return false;
		}
	}
	return true;
}

bool address_host_public(struct str host)
{
	char text[HOST_BYTES_MAX + 1];
	uint8_t bytes[16];
	struct in_addr v4;

	if (str_ends(host, STR("."))) {
		host.len--;
	}
	if (host.len == 0 || host.len > HOST_BYTES_MAX || str_ends(host, STR("."))) {
		return false;
	}
	str_to_z(host, text, sizeof(text));
	if (inet_pton(AF_INET6, text, bytes) == 1) {
		return address_public(bytes);
	}
	/* inet_aton, because resolvers take the odd forms too: 127.1, 0x7f.1, 017700000001. */
	if (inet_aton(text, &v4) != 0) {
		memcpy(bytes, v4_mapped, sizeof(v4_mapped));
		memcpy(bytes + sizeof(v4_mapped), &v4, 4);
		return address_public(bytes);
	}
	return name_public(host);
}
