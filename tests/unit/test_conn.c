/* test_conn.c - connections: input, sending, back-pressure, deadlines, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metric.h"
#include "loop/loop_priv.h"
#include "sockets.h"

struct fake {
	struct env env;
	int64_t now_us;
};

static int64_t fake_mono(void *ctx)
{
	return ((struct fake *)ctx)->now_us;
}

static struct fake fake;

static struct loop *make_loop(const struct env *env)
{
	struct loop_options options = {.env = env};
	struct loop *loop;

	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	return loop;
}

static struct loop *make_fake_loop(void)
{
	fake = (struct fake){.env = *env_real(), .now_us = 1000000};
	fake.env.ctx = &fake;
	fake.env.mono_us = fake_mono;
	return make_loop(&fake.env);
}

/* One side of a pair: what its callbacks saw, and what they are to do. */
struct side {
	struct loop *loop;
	struct conn *conn;
	int peer_fd; /* the test's own end, non-blocking */
	size_t input_bytes;
	size_t last_len;   /* length of the last offer */
	char last_first;   /* its first byte */
	int inputs;
	size_t take_max;   /* takes at most so many of each offer */
	bool echo;
	bool pause_after;  /* pauses in input */
	void (*in_input)(struct side *side);
	int eofs, drains, deadlines, closes;
	bool in_callback;
	enum err why;
};

static size_t on_input(struct conn *conn, struct str bytes)
{
	struct side *side = conn_owner(conn);
	size_t take = bytes.len < side->take_max ? bytes.len : side->take_max;

	assert_false(side->in_callback);
	side->in_callback = true;
	side->inputs++;
	side->input_bytes += take;
	side->last_len = bytes.len;
	side->last_first = bytes.at[0];
	if (side->echo) {
		assert_int_equal(conn_send_copy(conn, str_sub(bytes, 0, take)), ERR_OK);
	}
	if (side->pause_after) {
		conn_read_pause(conn);
	}
	if (side->in_input) {
		side->in_input(side);
	}
	side->in_callback = false;
	return take;
}

static void on_eof(struct conn *conn)
{
	struct side *side = conn_owner(conn);

	assert_false(side->in_callback);
	side->eofs++;
}

static void on_drained(struct conn *conn)
{
	struct side *side = conn_owner(conn);

	assert_false(side->in_callback);
	side->drains++;
}

static void on_deadline(struct conn *conn)
{
	struct side *side = conn_owner(conn);

	side->deadlines++;
}

static void on_closed(struct conn *conn, enum err why)
{
	struct side *side = conn_owner(conn);

	assert_false(side->in_callback);
	side->closes++;
	side->why = why;
	side->conn = NULL;
	assert_int_equal(conn_send_copy(conn, STR("late")), ERR_END);
	conn_abort(conn, ERR_INTERNAL);
}

static const struct conn_handler full_handler = {on_input, on_eof, on_drained, on_deadline, on_closed};
static const struct conn_handler plain_handler = {on_input, NULL, NULL, NULL, on_closed};

static void side_open(struct side *side, struct loop *loop, const struct conn_handler *handler)
{
	int fds[2];

	*side = (struct side){.loop = loop, .take_max = SIZE_MAX};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	side->peer_fd = fds[1];
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(conn_open(loop, fds[0], NULL, handler, side, &side->conn), ERR_OK);
}

static void put(struct side *side, const char *text)
{
	assert_int_equal(write(side->peer_fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads what is there now; -1 at the end of input. */
static ssize_t get(struct side *side, char *out, size_t cap)
{
	ssize_t n = read(side->peer_fd, out, cap);

	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	return n == 0 ? -1 : n;
}

/* ---- input ---- */

static void test_echo(void **state)
{
	struct loop *loop = make_loop(env_real());
	int64_t gauge = metric_get(METRIC_CONNECTIONS);
	struct side side;
	char text[64];

	(void)state;
	side_open(&side, loop, &plain_handler);
	side.echo = true;
	assert_int_equal(loop_connections(loop), 1);
	assert_int_equal(metric_get(METRIC_CONNECTIONS), gauge + 1);
	put(&side, "hello");
	turn_until(loop, side.inputs == 1);
	assert_int_equal(get(&side, text, sizeof(text)), 5);
	assert_memory_equal(text, "hello", 5);
	/* The peer ends; without eof() the connection finishes, and has nothing to linger for. */
	assert_int_equal(shutdown(side.peer_fd, SHUT_WR), 0);
	turn_until(loop, side.closes == 1);
	assert_int_equal(side.why, ERR_OK);
	assert_int_equal(get(&side, text, sizeof(text)), -1);
	assert_int_equal(loop_connections(loop), 0);
	assert_int_equal(metric_get(METRIC_CONNECTIONS), gauge);
	close(side.peer_fd);
	loop_destroy(&loop);
}

static void test_kept_input(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;

	(void)state;
	side_open(&side, loop, &full_handler);
	side.take_max = 2;
	put(&side, "abcde");
	turn_until(loop, side.inputs == 1);
	assert_int_equal(side.last_len, 5);
	loop_turn(loop, 0);
	assert_int_equal(side.inputs, 1);
	put(&side, "fg");
	turn_until(loop, side.inputs == 2);
	assert_int_equal(side.last_len, 5);
	assert_int_equal(side.last_first, 'c');
	side.take_max = SIZE_MAX;
	put(&side, "h");
	turn_until(loop, side.inputs == 3);
	assert_int_equal(side.last_len, 4);
	assert_int_equal(side.last_first, 'e');
	assert_int_equal(side.input_bytes, 8);
	assert_null(side.conn->kept.at);
	assert_int_equal(shutdown(side.peer_fd, SHUT_WR), 0);
	turn_until(loop, side.eofs == 1);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	assert_int_equal(side.eofs, 1);
	assert_int_equal(side.closes, 0);
	assert_int_equal(conn_send_copy(side.conn, STR("after eof")), ERR_OK);
	loop_destroy(&loop);
	assert_int_equal(side.why, ERR_GOING_AWAY);
	assert_int_equal(side.closes, 1);
	close(side.peer_fd);
}

static void test_kept_input_cap(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;
	char block[16384] = {'x'};

	(void)state;
	side_open(&side, loop, &full_handler);
	side.take_max = 0;
	while (side.closes == 0) {
		ssize_t n = write(side.peer_fd, block, sizeof(block));
		assert_true(n > 0 || errno == EAGAIN || errno == EPIPE);
		loop_turn(loop, 0);
		assert_true(side.inputs < 1000);
	}
	assert_int_equal(side.why, ERR_TOO_LARGE);
	assert_int_equal(side.last_len, LIMIT_BODY_BYTES + LIMIT_HEAD_BYTES + LIMIT_PIPELINE_BYTES);
	close(side.peer_fd);
	loop_destroy(&loop);
}

static void test_pause(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;

	(void)state;
	side_open(&side, loop, &full_handler);
	side.pause_after = true;
	side.take_max = 1;
	put(&side, "abc");
	turn_until(loop, side.inputs == 1);
	put(&side, "def");
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	assert_int_equal(side.inputs, 1);
	/* What was kept comes without new input, in a turn that does not wait. */
	conn_read_resume(side.conn);
	assert_int_equal(side.inputs, 1);
	loop_turn(loop, -1);
	assert_int_equal(side.inputs, 2);
	assert_int_equal(side.last_len, 2);
	assert_int_equal(side.last_first, 'b');
	side.pause_after = false;
	conn_read_resume(side.conn);
	turn_until(loop, side.inputs == 4);
	assert_int_equal(side.last_len, 3);
	assert_int_equal(side.last_first, 'd');
	loop_destroy(&loop);
	close(side.peer_fd);
}

/* Takes one byte at a time and goes on itself. */
static void resume_in_input(struct side *side)
{
	conn_read_resume(side->conn);
}

static void test_resume_inside(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;

	(void)state;
	side_open(&side, loop, &full_handler);
	side.pause_after = true;
	side.take_max = 1;
	side.in_input = resume_in_input;
	put(&side, "abc");
	turn_until(loop, side.inputs > 0);
	assert_int_equal(side.inputs, 3);
	assert_int_equal(side.input_bytes, 3);
	loop_destroy(&loop);
	close(side.peer_fd);
}

static void change_owner(struct side *side)
{
	side->in_input = NULL;
	side->take_max = SIZE_MAX;
	conn_owner_set(side->conn, &plain_handler, side);
}

static void test_owner_set(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;

	(void)state;
	/* Inside input: the new owner gets the rest at once. */
	side_open(&side, loop, &full_handler);
	side.take_max = 3;
	side.in_input = change_owner;
	put(&side, "GETws");
	turn_until(loop, side.inputs > 0);
	assert_int_equal(side.inputs, 2);
	assert_int_equal(side.last_len, 2);
	assert_int_equal(side.last_first, 'w');
	/* Outside: what is kept is offered in the next turn. */
	side.take_max = 0;
	put(&side, "kept");
	turn_until(loop, side.inputs == 3);
	change_owner(&side);
	loop_turn(loop, -1);
	assert_int_equal(side.inputs, 4);
	assert_int_equal(side.input_bytes, 9);
	loop_destroy(&loop);
	close(side.peer_fd);
}

static void refill(struct side *side)
{
	static const char block[65536];

	while (write(side->peer_fd, block, sizeof(block)) > 0) {
	}
}

/* A connection with always more to read does not keep the others waiting. */
static void test_bounded_reading(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side busy;

	(void)state;
	side_open(&busy, loop, &full_handler);
	refill(&busy);
	busy.in_input = refill;
	loop_turn(loop, -1);
	assert_int_equal(busy.input_bytes, 4 * LOOP_SCRATCH_BYTES);
	loop_destroy(&loop);
	close(busy.peer_fd);
}

/* ---- sending ---- */

static void test_joined_copies(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;
	char expected[8192], text[8192];
	size_t len = 0;

	(void)state;
	side_open(&side, loop, &full_handler);
	for (int i = 0; i < 500; i++) {
		char piece[16];
		int n = snprintf(piece, sizeof(piece), "%d;", i);
		assert_int_equal(conn_send_copy(side.conn, str_make(piece, (size_t)n)), ERR_OK);
		memcpy(expected + len, piece, (size_t)n);
		len += (size_t)n;
		if (i == 250) {
			assert_int_equal(conn_send_take(side.conn, frame_copy(STR("frame"))), ERR_OK);
			memcpy(expected + len, "frame", 5);
			len += 5;
		}
	}
	assert_true(side.conn->ring_count < 8);
	assert_int_equal(conn_queued_bytes(side.conn), len);
	assert_int_equal(conn_send_copy(side.conn, STR_NONE), ERR_OK);
	loop_turn(loop, -1);
	assert_int_equal(conn_queued_bytes(side.conn), 0);
	assert_int_equal(get(&side, text, sizeof(text)), (ssize_t)len);
	assert_memory_equal(text, expected, len);
	assert_ptr_equal(side.conn->ring, side.conn->ring_inline);
	loop_destroy(&loop);
	close(side.peer_fd);
}

/* 8 MiB in frames of odd sizes through a peer that reads little: every byte arrives, in order; the cap says "too slow",
 * drained says "go on". */
static void test_slow_reader(void **state)
{
	enum { TOTAL = 8 << 20 };
	struct loop *loop = make_loop(env_real());
	struct side side;
	size_t queued = 0, got = 0;
	int too_slow = 0, drains = 0, offset = 0;
	uint8_t *text = malloc(65536);

	(void)state;
	side_open(&side, loop, &full_handler);
	while (got < TOTAL) {
		enum err err = ERR_OK;
		while (queued < TOTAL && !err) {
			size_t len = 1 + (queued * 7919) % 30011;
			struct frame *frame;
			len = len < TOTAL - queued ? len : TOTAL - queued;
			frame = frame_make(len);
			for (size_t i = 0; i < len; i++) {
				frame->bytes[i] = (char)((queued + i) % 251);
			}
			err = conn_send_take(side.conn, frame);
			queued += err ? 0 : len;
		}
		assert_true(err == ERR_OK || err == ERR_TOO_SLOW);
		too_slow += err == ERR_TOO_SLOW;
		assert_true(conn_queued_bytes(side.conn) <= LIMIT_CONN_QUEUE_BYTES + 30011);
		drains = side.drains;
		while (got < TOTAL && side.drains == drains) {
			ssize_t n = get(&side, (char *)text, 20000 + (size_t)(offset++ % 7));
			for (ssize_t i = 0; i < n; i++) {
				assert_int_equal(text[i], (got + (size_t)i) % 251);
			}
			got += (size_t)n;
			loop_turn(loop, 0);
		}
		if (got < TOTAL) {
			assert_true(conn_queued_bytes(side.conn) <= LIMIT_CONN_QUEUE_BYTES / 2);
		}
	}
	assert_true(too_slow > 3);
	assert_int_equal(conn_queued_bytes(side.conn), 0);
	assert_int_equal(side.conn->source.watched, LOOP_READ);
	free(text);
	loop_destroy(&loop);
	close(side.peer_fd);
}

static void test_frame_cap(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;
	struct frame *frame = frame_copy(STR("x"));
	int64_t slow = metric_get(METRIC_SLOW_CLIENTS);
	enum err err = ERR_OK;
	size_t sent = 0;

	(void)state;
	side_open(&side, loop, &full_handler);
	while (!err) {
		err = conn_send_take(side.conn, frame_hold(frame));
		sent += !err;
		assert_true(sent < 100000);
	}
	assert_int_equal(err, ERR_TOO_SLOW);
	assert_int_equal(conn_queued_bytes(side.conn), LIMIT_CONN_QUEUE_FRAMES);
	conn_abort(side.conn, ERR_TOO_SLOW);
	assert_int_equal(side.closes, 0);
	assert_int_equal(conn_send_take(side.conn, frame_hold(frame)), ERR_END);
	loop_turn(loop, -1);
	assert_int_equal(side.closes, 1);
	assert_int_equal(side.why, ERR_TOO_SLOW);
	assert_int_equal(metric_get(METRIC_SLOW_CLIENTS), slow + 1);
	assert_int_equal(atomic_load(&frame->refs), 1);
	frame_drop(&frame);
	loop_destroy(&loop);
	close(side.peer_fd);
}

static void test_peer_gone(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;

	(void)state;
	side_open(&side, loop, &full_handler);
	conn_read_pause(side.conn);
	close(side.peer_fd);
	assert_int_equal(conn_send_copy(side.conn, STR("anybody?")), ERR_OK);
	loop_turn(loop, -1);
	assert_int_equal(side.closes, 1);
	assert_int_equal(side.why, ERR_IO);
	loop_destroy(&loop);
}

/* ---- deadlines and closing ---- */

static void test_deadline(void **state)
{
	struct loop *loop = make_fake_loop();
	struct side full, plain;

	(void)state;
	side_open(&full, loop, &full_handler);
	side_open(&plain, loop, &plain_handler);
	conn_deadline_set(full.conn, 1000100);
	conn_deadline_set(full.conn, 1000200);
	conn_deadline_set(plain.conn, 1000300);
	fake.now_us = 1000150;
	loop_turn(loop, 0);
	assert_int_equal(full.deadlines, 0);
	fake.now_us = 1000200;
	loop_turn(loop, -1);
	loop_turn(loop, 0);
	assert_int_equal(full.deadlines, 1);
	conn_deadline_set(full.conn, 1000300);
	conn_deadline_set(full.conn, 0);
	fake.now_us = 1000300;
	loop_turn(loop, -1);
	assert_int_equal(full.deadlines, 1);
	assert_int_equal(plain.closes, 1);
	assert_int_equal(plain.why, ERR_TIMED_OUT);
	loop_destroy(&loop);
	close(full.peer_fd);
	close(plain.peer_fd);
}

static void finish_in_input(struct side *side)
{
	assert_int_equal(conn_send_copy(side->conn, STR("refused")), ERR_OK);
	conn_finish(side->conn);
	conn_finish(side->conn);
	assert_int_equal(conn_send_copy(side->conn, STR("more")), ERR_END);
}

static void test_finish_lingers(void **state)
{
	struct loop *loop = make_fake_loop();
	struct side side;
	char text[64];

	(void)state;
	side_open(&side, loop, &full_handler);
	side.in_input = finish_in_input;
	side.take_max = 1;
	put(&side, "much more than is taken");
	turn_until(loop, side.inputs == 1);
	loop_turn(loop, 0);
	assert_int_equal(side.closes, 0);
	assert_int_equal(side.conn->state, CONN_LINGERING);
	assert_int_equal(get(&side, text, sizeof(text)), 7);
	assert_int_equal(get(&side, text, sizeof(text)), -1);
	/* The peer goes on sending for a while: that is read and forgotten, and does not reset the reply. */
	put(&side, "still sending");
	loop_turn(loop, -1);
	assert_int_equal(side.closes, 0);
	assert_int_equal(side.inputs, 1);
	close(side.peer_fd);
	turn_until(loop, side.closes == 1);
	assert_int_equal(side.why, ERR_OK);
	loop_destroy(&loop);
}

static void test_finish_limits(void **state)
{
	struct loop *loop = make_fake_loop();
	struct side lingers, stuck;
	char block[65536] = {0};

	(void)state;
	side_open(&lingers, loop, &full_handler);
	side_open(&stuck, loop, &full_handler);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(conn_send_copy(stuck.conn, str_make(block, sizeof(block))), ERR_OK);
	}
	conn_finish(lingers.conn);
	conn_finish(stuck.conn);
	conn_deadline_set(stuck.conn, 1);
	loop_turn(loop, -1);
	assert_int_equal(lingers.conn->state, CONN_LINGERING);
	assert_int_equal(stuck.conn->state, CONN_FINISHING);
	fake.now_us += 999999;
	loop_turn(loop, 0);
	assert_int_equal(lingers.closes, 0);
	fake.now_us += 1;
	loop_turn(loop, -1);
	assert_int_equal(lingers.closes, 1);
	assert_int_equal(lingers.why, ERR_OK);
	fake.now_us += 3999999;
	loop_turn(loop, 0);
	assert_int_equal(stuck.closes, 0);
	fake.now_us += 1;
	loop_turn(loop, -1);
	assert_int_equal(stuck.closes, 1);
	assert_int_equal(stuck.why, ERR_TIMED_OUT);
	assert_int_equal(stuck.deadlines, 0);
	loop_destroy(&loop);
	close(lingers.peer_fd);
	close(stuck.peer_fd);
}

static void abort_in_input(struct side *side)
{
	conn_abort(side->conn, ERR_MALFORMED);
	conn_abort(side->conn, ERR_INTERNAL);
	conn_finish(side->conn);
	conn_read_pause(side->conn);
	conn_read_resume(side->conn);
	conn_deadline_set(side->conn, 5);
	assert_int_equal(side->closes, 0);
}

static void test_abort_inside(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side side;

	(void)state;
	side_open(&side, loop, &full_handler);
	side.in_input = abort_in_input;
	side.take_max = 0;
	put(&side, "bad");
	turn_until(loop, side.closes == 1);
	assert_int_equal(side.inputs, 1);
	assert_int_equal(side.why, ERR_MALFORMED);
	close(side.peer_fd);
	loop_destroy(&loop);
}

static void abort_each(struct conn *conn, void *arg)
{
	(*(int *)arg)++;
	conn_abort(conn, ERR_PERMISSION);
}

static void test_each(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct side sides[3];
	int seen = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		side_open(&sides[i], loop, &full_handler);
		assert_ptr_equal(conn_loop(sides[i].conn), loop);
		assert_false(conn_peer(sides[i].conn)->loopback);
	}
	conn_abort(sides[1].conn, ERR_END);
	loop_each_conn(loop, abort_each, &seen);
	assert_int_equal(seen, 2);
	loop_turn(loop, -1);
	assert_int_equal(sides[0].why, ERR_PERMISSION);
	assert_int_equal(sides[1].why, ERR_END);
	assert_int_equal(sides[2].closes, 1);
	assert_int_equal(loop_connections(loop), 0);
	for (int i = 0; i < 3; i++) {
		close(sides[i].peer_fd);
	}
	loop_destroy(&loop);
}

/* ---- memory ---- */

static bool fail_from(void *arg, uint64_t number)
{
	return number >= *(uint64_t *)arg;
}

static void test_without_memory(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct conn *conn;
	struct side side;
	uint64_t number;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	side_open(&side, loop, &full_handler);
	number = mem_count() + 1;
	mem_hook_set(fail_from, &number);
	assert_int_equal(conn_open(loop, fds[0], NULL, &full_handler, &side, &conn), ERR_MEMORY);
	assert_int_equal(conn_send_copy(side.conn, STR("x")), ERR_MEMORY);
	side.take_max = 1;
	assert_int_equal(write(side.peer_fd, "ab", 2), 2);
	loop_turn(loop, -1);
	mem_hook_set(NULL, NULL);
	assert_int_equal(side.closes, 1);
	assert_int_equal(side.why, ERR_MEMORY);
	close(fds[0]);
	close(fds[1]);
	close(side.peer_fd);
	loop_destroy(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_kept_input),
		cmocka_unit_test(test_kept_input_cap),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_resume_inside),
		cmocka_unit_test(test_owner_set),
		cmocka_unit_test(test_bounded_reading),
		cmocka_unit_test(test_joined_copies),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_frame_cap),
		cmocka_unit_test(test_peer_gone),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_finish_lingers),
		cmocka_unit_test(test_finish_limits),
		cmocka_unit_test(test_abort_inside),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_without_memory),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
