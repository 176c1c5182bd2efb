#!/usr/bin/env python3
"""Lists every sentence of more than 25 words in what users read: the doc comments of the published crates and the examples,
and the pages. Code blocks are left out; an item of a list and a cell of a table count for themselves, `code` as one word."""
import re
import subprocess
import sys

LIMIT = 25
FILES = ["*.md", "core/src/*.rs", "adapters/*/src/*.rs", "testkit/src/*.rs", "examples/*.rs"]
DOC = re.compile(r"\s*(?:///|//!)(?!/) ?(.*)")
ITEM = re.compile(r"^(?:[*+-]|\d{1,2}\.)\s+")
END = re.compile(r"(?<!e\.g\.)(?<!i\.e\.)(?<=[.!?])[\"')*_]*\s+")


def lines(path):
    """The lines of prose, each with its number; None ends what went before."""
    in_code = False
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if path.endswith(".rs"):
                doc = DOC.match(line)
                if not doc:
                    in_code = False
                    yield number, None
                    continue
                line = doc[1]
            line = line.strip()
            if line.startswith("```"):
                in_code = not in_code
                line = ""
            yield number, None if in_code or line.startswith("<") or re.match(r"\[[^]]+\]:\s", line) else line


def paragraphs(path):
    start, text = 0, []
    for number, line in lines(path):
        apart = not line or line[0] in "|#" or ITEM.match(line)
        if apart and text:
            yield start, " ".join(text)
            text = []
        if not line:
            continue
        if line[0] in "|#":
            yield from ((number, part.strip()) for part in line.strip("|# ").split("|"))
            continue
        start = start if text else number
        text.append(ITEM.sub("", line, count=1))
    if text:
        yield start, " ".join(text)


def words(sentence):
    return sum(any(it.isalnum() for it in word) for word in sentence.split())


def plain(text):
    """Links as their text, and code as one word."""
    text = re.sub(r"\[([^]]*)\](?:\([^)]*\)|\[[^]]*\])", r"\1", text)
    return re.sub(r"`[^`]*`", "code", text)


listed = subprocess.run(["git", "ls-files", "--", *FILES], capture_output=True, text=True, check=True).stdout.split()
found = 0
for path in listed:
    # Of the repository's own tests nobody is a user.
    if path.startswith("tests/"):
        continue
    for number, text in paragraphs(path):
        for sentence in END.split(plain(text)):
            if words(sentence) > LIMIT:
                print(f"{path}:{number}: {words(sentence)} words: {sentence}", file=sys.stderr)
                found += 1
sys.exit(found > 0)
