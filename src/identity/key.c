/* key.c - which key is nearest, and where a key may be sent. */
#include <arpa/inet.h>

#include "identity/identity_priv.h"
#include "wire/url.h"

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
		{0xC0A80000, 16}, /* private */
		{0xC6120000, 15}, /* benchmarks */
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

/* Only 2000::/3 is handed out; inside it, forms that carry an IPv4 address are judged by that. */
static bool v6_public(const uint8_t b[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
	static const uint8_t nat64[12] = {0, 0x64, 0xFF, 0x9B};
	if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0) {
		return v4_public(be32(b + 12));
	}
	if (b[0] == 0x20 && b[1] == 0x02) {
		return v4_public(be32(b + 2));
	}
	return b[0] >> 5 == 1;
}

static bool name_public(struct str host)
{
	static const char *const refused[] = {"localhost", "local", "internal", "lan", "home.arpa", "intranet"};
	if (str_ends(host, STR("."))) {
		host.len--;
	}
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

bool key_base_url_public(struct str base_url)
{
	struct url url;
	char host[256];
	struct in_addr v4;
	struct in6_addr v6;
	if (url_parse(base_url, &url) != ERR_OK || url.has_userinfo || !str_eq_case(url.scheme, STR("https"))) {
		return false;
	}
	if (url.host.len == 0 || url.host.len >= sizeof(host)) {
		return false;
	}
	str_to_z(url.host, host, sizeof(host));
	if (inet_pton(AF_INET6, host, &v6) == 1) {
		return v6_public(v6.s6_addr);
	}
	/* inet_aton, because resolvers take the odd forms too: 127.1, 0x7f.1, 017700000001. */
	if (inet_aton(host, &v4) != 0) {
		return v4_public(ntohl(v4.s_addr));
	}
	return name_public(url.host);
}

struct str key_host(struct str base_url)
{
	struct url url;
	if (base_url.len == 0 || url_parse(base_url, &url) != ERR_OK) {
		return STR("");
	}
	return url.host;
}

enum err key_get(struct guild *guild, int64_t workspace, int64_t principal, struct str provider,
	struct keyring_secret *out, struct str *base_url)
{
	const struct key_row *key = principal != 0 ? identity_key(guild->identity, workspace, principal, provider) : NULL;
	if (key == NULL) {
		key = identity_key(guild->identity, workspace, 0, provider);
	}
	if (key == NULL) {
		return ERR_NOT_FOUND;
	}
	if (guild->keyring == NULL) {
		return ERR_KEY;
	}
	*base_url = key->base_url;
	return keyring_unseal(guild->keyring, workspace, provider, key_host(key->base_url), key->id, key->sealed, out);
}
