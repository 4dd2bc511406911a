/* test_listen.c - addresses, caps on connections, listeners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metric.h"
#include "loop/loop_priv.h"
#include "sockets.h"

static struct loop *make_loop(const struct env *env)
{
	struct loop_options options = {.env = env};
	struct loop *loop;

	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	return loop;
}

/* A connection that sends back what it gets. */
struct side {
	struct conn *conn;
	int closes;
	enum err why;
};

static size_t echo(struct conn *conn, struct str bytes)
{
	assert_int_equal(conn_send_copy(conn, bytes), ERR_OK);
	return bytes.len;
}

static void on_closed(struct conn *conn, enum err why)
{
	struct side *side = conn_owner(conn);

	side->closes++;
	side->why = why;
}

static const struct conn_handler echo_handler = {.input = echo, .closed = on_closed};

/* ---- addresses and caps ---- */

static void test_address_parse(void **state)
{
	static const char *const bad[] = {"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "1.2.3:80",
					  "example.org:80", "::1:80", "[::1]", "[::1:80", "[]:80", "[127.0.0.1]:80", "[localhost]:80",
					  "127.0.0.1:+80", "127.0.0.1:000080", "1.2.3.4.5:1"};
	struct conn_address address;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(conn_address_parse(str_of(bad[i]), &address), ERR_INVALID);
	}
	assert_int_equal(conn_address_parse(STR_NONE, &address), ERR_INVALID);
	assert_int_equal(conn_address_parse(STR("127.0.0.1:8420"), &address), ERR_OK);
	assert_int_equal(address.port, 8420);
	assert_true(address.loopback);
	assert_memory_equal(address.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	assert_int_equal(conn_address_parse(STR("LocalHost:0"), &address), ERR_OK);
	assert_true(address.loopback);
	assert_int_equal(conn_address_parse(STR("[::1]:65535"), &address), ERR_OK);
	assert_true(address.loopback && address.port == 65535);
	assert_int_equal(conn_address_parse(STR("0.0.0.0:1"), &address), ERR_OK);
	assert_false(address.loopback);
	assert_int_equal(conn_address_parse(STR("[2001:db8::2]:1"), &address), ERR_OK);
	assert_false(address.loopback);
}

/* Whoever has one address of IPv6 has 2^64 of them. */
static void test_sites(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"192.0.2.1:1", "192.0.2.1:2", true}, {"192.0.2.1:1", "192.0.2.2:1", false}, {"192.0.2.1:1", "192.0.3.1:1", false},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:2", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false}, {"[2001:db8::1]:1", "[2001:db9::1]:1", false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true}, {"[::1:ffff:c000:201]:1", "192.0.2.1:1", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conn_address a, b;
		struct conn_caps *caps;
		uint8_t site_a[16], site_b[16];
		uint32_t slot;
		assert_int_equal(conn_address_parse(str_of(rows[i].a), &a), ERR_OK);
		assert_int_equal(conn_address_parse(str_of(rows[i].b), &b), ERR_OK);
		conn_address_site(&a, site_a);
		conn_address_site(&b, site_b);
		assert_int_equal(memcmp(site_a, site_b, 16) == 0, rows[i].same);
		assert_int_equal(conn_caps_create(10, 1, &caps), ERR_OK);
		assert_true(conn_caps_admit(caps, &a, &slot));
		/* Of others one in 16,384 shares the counter. */
		assert_true(!rows[i].same || !conn_caps_admit(caps, &b, &slot));
		conn_caps_destroy(&caps);
	}
}

static void test_caps(void **state)
{
	struct conn_address here = {.loopback = true}, a, b;
	struct conn_caps *caps;
	uint32_t slot, slot_a;

	(void)state;
	assert_int_equal(conn_address_parse(STR("192.0.2.1:1"), &a), ERR_OK);
	assert_int_equal(conn_address_parse(STR("192.0.2.1:2"), &b), ERR_OK);
	assert_int_equal(conn_caps_create(6, 2, &caps), ERR_OK);
	assert_true(conn_caps_admit(caps, &a, &slot_a));
	assert_true(conn_caps_admit(caps, &b, &slot));
	assert_int_equal(slot, slot_a);
	assert_false(conn_caps_admit(caps, &a, &slot));
	/* Loopback is exempt from the cap of an address, not from the cap of all; a refusal leaves no count behind. */
	for (int i = 0; i < 4; i++) {
		assert_true(conn_caps_admit(caps, &here, &slot));
	}
	assert_false(conn_caps_admit(caps, &here, &slot));
	conn_caps_release(caps, slot_a);
	assert_true(conn_caps_admit(caps, &a, &slot_a));
	assert_false(conn_caps_admit(caps, &a, &slot));
	conn_caps_destroy(&caps);
	assert_null(caps);
}

/* ---- listening ---- */

struct server {
	struct listener *listener;
	struct side sides[16];
	int accepted;
	enum err answer;
	bool opens;
};

static enum err on_accepted(struct loop *loop, int fd, const struct conn_address *peer, void *arg)
{
	struct server *server = arg;
	struct side *side = &server->sides[server->accepted++ % 16];
	enum err err = ERR_OK;

	assert_true(peer->loopback);
	assert_true(peer->port > 0);
	*side = (struct side){0};
	if (server->opens) {
		err = conn_open(loop, fd, peer, &echo_handler, side, &side->conn);
		assert_int_equal(err, ERR_OK);
	}
	return server->answer;
}

static void listen_at(struct server *server, struct loop *loop, struct conn_caps *caps, const char *host, uint16_t port)
{
	char address[64], detail[128];
	struct listener_options options = {.caps = caps, .accepted = on_accepted, .arg = server};

	*server = (struct server){.opens = true};
	snprintf(address, sizeof(address), "%s:%u", host, port);
	options.address = str_of(address);
	assert_int_equal(listener_open(loop, &options, detail, &server->listener), ERR_OK);
}

static int dial(uint16_t port)
{
	int fd = socket_dial(port);

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* 1 when the peer closed, 0 while it is open and silent. */
static int is_closed(int fd)
{
	char c;
	ssize_t n = read(fd, &c, 1);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void test_listener(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct server first, second;
	char text[8], detail[128], address[32];
	ssize_t n = -1;
	int fd;

	(void)state;
	listen_at(&first, loop, NULL, "127.0.0.1", 0);
	assert_true(listener_port(first.listener) > 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", listener_port(first.listener));
	assert_int_equal(listener_probe(NULL, str_of(address), detail), ERR_IN_USE);
	assert_non_null(strstr(detail, address));
	assert_int_equal(listener_probe(NULL, STR("nowhere:1"), detail), ERR_INVALID);
	assert_int_equal(listener_probe(NULL, STR("192.0.2.7:1"), detail), ERR_IO);
	/* A second listener of ours shares the port. */
	listen_at(&second, loop, NULL, "127.0.0.1", listener_port(first.listener));
	assert_int_equal(listener_port(second.listener), listener_port(first.listener));
	listener_close(&second.listener);
	fd = dial(listener_port(first.listener));
	assert_int_equal(write(fd, "ping", 4), 4);
	turn_until(loop, (n = read(fd, text, sizeof(text))) >= 0);
	assert_int_equal(n, 4);
	assert_memory_equal(text, "ping", 4);
	assert_true(conn_peer(first.sides[0].conn)->loopback);
	close(fd);
	turn_until(loop, first.sides[0].closes == 1);
	/* An error of accepted() closes, whether it opened the connection or not. */
	first.answer = ERR_OVERLOADED;
	fd = dial(listener_port(first.listener));
	turn_until(loop, is_closed(fd));
	assert_int_equal(first.sides[1].closes, 1);
	assert_int_equal(first.sides[1].why, ERR_OVERLOADED);
	close(fd);
	first.opens = false;
	fd = dial(listener_port(first.listener));
	turn_until(loop, is_closed(fd));
	close(fd);
	listener_close(&first.listener);
	assert_null(first.listener);
	assert_int_equal(listener_probe(NULL, str_of(address), detail), ERR_OK);
	loop_destroy(&loop);
}

static void test_listener_caps(void **state)
{
	struct loop *loop = make_loop(env_real());
	int64_t refused = metric_get(METRIC_CONNECTIONS_REFUSED);
	struct conn_caps *caps;
	struct server server;
	int fds[3];

	(void)state;
	assert_int_equal(conn_caps_create(2, 1, &caps), ERR_OK);
	listen_at(&server, loop, caps, "127.0.0.1", 0);
	for (int i = 0; i < 3; i++) {
		fds[i] = dial(listener_port(server.listener));
	}
	turn_until(loop, is_closed(fds[2]));
	assert_int_equal(server.accepted, 2);
	assert_int_equal(metric_get(METRIC_CONNECTIONS_REFUSED), refused + 1);
	assert_false(is_closed(fds[0]) || is_closed(fds[1]));
	/* A place is free again as soon as a connection is closed. */
	close(fds[0]);
	turn_until(loop, server.sides[0].closes == 1);
	close(fds[2]);
	fds[2] = dial(listener_port(server.listener));
	turn_until(loop, server.accepted == 3);
	assert_false(is_closed(fds[2]));
	listener_close(&server.listener);
	loop_destroy(&loop);
	assert_int_equal(server.sides[2].closes, 1);
	conn_caps_destroy(&caps);
	close(fds[1]);
	close(fds[2]);
}

/* Out of descriptors: newcomers are closed, the loop does not spin, and afterwards all is well. */
static void test_out_of_descriptors(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct rlimit old, low;
	struct server server;
	int fds[3], fill[64];
	int filled = 0;

	(void)state;
	listen_at(&server, loop, NULL, "127.0.0.1", 0);
	for (int i = 0; i < 3; i++) {
		fds[i] = dial(listener_port(server.listener));
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fds[2] + 16;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (filled < 64 && (fill[filled] = dup(fds[0])) >= 0) {
		filled++;
	}
	assert_true(filled < 64);
	turn_until(loop, is_closed(fds[0]) && is_closed(fds[1]) && is_closed(fds[2]));
	assert_int_equal(server.accepted, 0);
	/* Nothing is ready any more. */
	loop_turn(loop, 0);
	assert_false(loop->worked);
	while (filled > 0) {
		close(fill[--filled]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
	}
	fds[0] = dial(listener_port(server.listener));
	turn_until(loop, server.accepted == 1);
	assert_false(is_closed(fds[0]));
	close(fds[0]);
	listener_close(&server.listener);
	loop_destroy(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_parse),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_listener_caps),
		cmocka_unit_test(test_out_of_descriptors),
	};
	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
