"""c_source - what the lint scripts share: C files as text, without comments, and the way to report."""
import os
import pathlib
import re
import sys

sys.dont_write_bytecode = True
os.chdir(pathlib.Path(__file__).resolve().parent.parent)

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files(*patterns):
    """The repository's files of these glob patterns, sorted."""
    return sorted({path for pattern in patterns for path in pathlib.Path(".").glob(pattern) if path.is_file()})


def without_comments(text, keep_strings=True):
    """The same lines with comments (and, on request, the contents of strings) blanked out."""
    def blank(match):
        token = match.group()
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        return token if keep_strings else '""'
    return TOKEN.sub(blank, text)


def exceptions(path):
    """Rows "what  reason" of an exceptions file, as a dict; '#' starts a comment. A row without a reason stops."""
    rows = {}
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except FileNotFoundError:
        return rows
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split(None, 1)
        if not words:
            continue
        if len(words) < 2:
            sys.exit(f"{path}:{number}: an exception needs a reason")
        rows[words[0]] = words[1]
    return rows


def report(name, offenders, fine):
    """Prints each offender on a line and fails, or says what was looked at."""
    for offender in offenders:
        print(f"{name}: {offender}")
    if offenders:
        sys.exit(1)
    print(f"{name}: {fine}")
