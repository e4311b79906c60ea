# Verifies every DKIM signature of a message with dkimpy: `verify.py RECORDS < message`.
#
# RECORDS is a file of pairs of lines, a name and its TXT record. Prints a line for each signature: selector, algorithm,
# "pass" or "fail", and the names in its h=.
import sys

import dkim

with open(sys.argv[1], "rb") as file:
    lines = file.read().splitlines()
records = {name + b".": record for name, record in zip(lines[::2], lines[1::2])}
message = sys.stdin.buffer.read()


def lookup(name, timeout=5):
    return records.get(name if isinstance(name, bytes) else name.encode())


fields = [value for name, value in dkim.rfc822_parse(message)[0] if name.lower() == b"dkim-signature"]
for number, field in enumerate(fields):
    tags = dkim.util.parse_tag_value(field)
    verifier = dkim.DKIM(message, minkey=2048)
    try:
        good = verifier.verify(idx=number, dnsfunc=lookup)
    except dkim.DKIMException as error:
        print(error, file=sys.stderr)
        good = False
    names = b"".join(tags[b"h"].split()).decode().lower()
    length = "l=" if b"l" in tags else ""
    print(tags[b"s"].decode(), tags[b"a"].decode(), "pass" if good else "fail", names, length)
