/* term.c - the terminal: what it can do, what it must not be told, lines from it, signals while it waits. */
#include <stdarg.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli_priv.h"
#include "wire/utf8.h"

#define WIDTH_MIN 20
#define REPLACEMENT "?"

static bool has_word(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

void cli_term_look(struct cli_term *term)
{
	const char *kind = getenv("TERM");
	bool dumb = !kind || strcmp(kind, "dumb") == 0;
	struct winsize size = {0};

	*term = (struct cli_term){.in = isatty(STDIN_FILENO), .out = isatty(STDOUT_FILENO), .err = isatty(STDERR_FILENO)};
	term->colour = term->out && !dumb && !has_word("NO_COLOR");
	term->lively = term->err && !dumb;
	if (term->out) {
		term->width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
		term->width = term->width < WIDTH_MIN ? WIDTH_MIN : term->width;
	}
}

const char *cli_style(const struct cli_term *term, enum cli_style style)
{
	static const char *const sequences[] = {
		[CLI_PLAIN] = "\x1b[0m", [CLI_BOLD] = "\x1b[1m",    [CLI_DIM] = "\x1b[2m",
		[CLI_RED] = "\x1b[31m",  [CLI_GREEN] = "\x1b[32m", [CLI_YELLOW] = "\x1b[33m",
	};

	return term->colour ? sequences[style] : "";
}

/* ---- text ---- */

/* Takes one code point off *text. False at the end. *piece is what may be shown of it, "" for nothing. */
static bool next_clean(struct str *text, struct str *piece)
{
	size_t len = utf8_sequence(*text);
	size_t at = 0;
	uint32_t code;

	if (text->len == 0) {
		return false;
	}
	if (len == 0) {
		*piece = STR(REPLACEMENT);
		*text = str_sub(*text, 1, text->len);
		return true;
	}
	*piece = str_sub(*text, 0, len);
	code = utf8_get(*piece, &at);
	*text = str_sub(*text, len, text->len);
	if (utf8_is_obeyed(code) && code != '\n' && code != '\t') {
		*piece = STR("");
	}
	return true;
}

void cli_put_clean(FILE *to, struct str text)
{
	struct str piece;

	while (next_clean(&text, &piece)) {
		fwrite(piece.at, 1, piece.len, to);
	}
}

struct str cli_clean_line(struct arena *arena, struct str text)
{
	char *out = arena_alloc(arena, text.len + 1);
	struct str made = {out, 0};
	struct str piece;

	if (!out) {
		return STR("");
	}
	while (next_clean(&text, &piece)) {
		if (piece.len == 1 && (piece.at[0] == '\n' || piece.at[0] == '\t')) {
			piece = STR(" ");
		}
		memcpy(out + made.len, piece.at, piece.len);
		made.len += piece.len;
	}
	out[made.len] = 0;
	return made;
}

/* Close enough for tables: marks take none, the wide scripts and pictures two. */
static size_t code_width(uint32_t code)
{
	static const uint32_t wide[][2] = {
		{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
		{0xff00, 0xff60}, {0x1f300, 0x1f64f}, {0x1f680, 0x1faff}, {0x20000, 0x3fffd},
	};

	if ((code >= 0x300 && code <= 0x36f) || (code >= 0x200b && code <= 0x200d) || (code >= 0xfe00 && code <= 0xfe0f)) {
		return 0;
	}
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		if (code >= wide[i][0] && code <= wide[i][1]) {
			return 2;
		}
	}
	return 1;
}

size_t cli_text_width(struct str text)
{
	size_t width = 0;

	for (size_t at = 0; at < text.len;) {
		width += code_width(utf8_get(text, &at));
	}
	return width;
}

struct str cli_text_cut(struct str text, size_t width)
{
	size_t fits = 0;

	for (size_t at = 0; at < text.len;) {
		size_t one = code_width(utf8_get(text, &at));

		if (one > width) {
			break;
		}
		width -= one;
		fits = at;
	}
	return str_sub(text, 0, fits);
}

/* ---- signals and input ---- */

int cli_signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
}

bool cli_signals_take(int signals)
{
	struct signalfd_siginfo info;
	bool taken = false;

	while (signals >= 0 && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		taken = true;
	}
	return taken;
}

void cli_signals_close(int *signals)
{
	sigset_t set;

	if (*signals < 0) {
		return;
	}
	close(*signals);
	*signals = -1;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* One byte of standard input, or why not. */
static enum err read_byte(int signals, char *out)
{
	struct pollfd waits[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	ssize_t got;

	while (poll(waits, 2, -1) < 0) {
		if (errno != EINTR) {
			return ERR_IO;
		}
	}
	if (waits[1].revents && cli_signals_take(signals)) {
		return ERR_CANCELLED;
	}
	got = read(STDIN_FILENO, out, 1);
	return got == 1 ? ERR_OK : got == 0 ? ERR_END : errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_IO;
}

enum err cli_read_line(int signals, struct str hidden_prompt, struct buf *line)
{
	struct termios shown;
	bool changed = false;
	enum err err = ERR_OK;
	char byte = 0;

	buf_clear(line);
	if (hidden_prompt.at && tcgetattr(STDIN_FILENO, &shown) == 0) {
		struct termios silent = shown;

		/* Echo goes before the prompt comes: who is asked may type at once. */
		silent.c_lflag &= ~(tcflag_t)ECHO;
		changed = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
		cli_put_clean(stderr, hidden_prompt);
		fflush(stderr);
	}
	/* Byte by byte: what stands behind the newline is the next line's, and a terminal gives whole lines anyway. */
	while (err == ERR_OK || err == ERR_AGAIN) {
		err = read_byte(signals, &byte);
		if (err == ERR_OK && byte == '\n') {
			break;
		}
		if (err == ERR_OK) {
			buf_put_byte(line, byte);
		}
	}
	if (changed) {
		tcsetattr(STDIN_FILENO, TCSANOW, &shown);
		fputc('\n', stderr);
	}
	if (err == ERR_END && line->len > 0) {
		err = ERR_OK;
	}
	return err ? err : buf_err(line);
}

enum err cli_read_all(struct buf *out)
{
	for (;;) {
		char piece[4096];
		ssize_t got = read(STDIN_FILENO, piece, sizeof(piece));

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return got < 0 ? ERR_IO : buf_err(out);
		}
		buf_put(out, piece, (size_t)got);
		if (out->failed) {
			return ERR_LIMIT;
		}
	}
}

int cli_out_flush(void)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		/* Who closed the pipe wants no more, and no message either. */
		return errno == EPIPE ? CLI_FAILED : cli_fail(CLI_FAILED, "standard output cannot be written: %s", strerror(errno));
	}
	return CLI_OK;
}

void cli_progress(const struct cli_term *term, const char *format, ...)
{
	va_list args;

	if (!term->lively) {
		return;
	}
	fputs("\r\x1b[K", stderr);
	if (format) {
		va_start(args, format);
		vfprintf(stderr, format, args);
		va_end(args);
	}
	fflush(stderr);
}
