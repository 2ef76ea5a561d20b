"""Changes to sound input, drawn from a seeded generator."""

from random import Random

HOSTILE_TEXTS = (
    '""',
    '" "',
    '"\\u0000"',
    '"\\u001b]0;x\\u0007\\u001b[2J"',
    '"\\u202egnp.exe"',
    '"a\\nb"',
    '"../../../etc/passwd"',
    '"/dev/zero"',
    '"~"',
    '"a:b"',
    '":"',
    '"os:system"',
    '"builtins:eval"',
    '"x.py:y"',
    '"/:/"',
    '"a.b.c:d.e"',
    '"\\U0001F600"',
    f'"{"x" * 5000}"',
    '"{seed:9999999}"',
    '"%s%n"',
    '"-1"',
)
"""As TOML has them."""

_VALUES = (
    *("0", "-1", "1", "3.5", "nan", "inf", "-inf", "true", '"x"', '""', "[]", "[1, 2]", '["a"]', "{}", "{ a = 1 }"),
    *("9223372036854775807", "-9223372036854775809", "1e308", "1e-320", "0x7f", "0o17", "0b1", "1_000", "+5", "-0.0"),
    *("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "'''a\nb'''", '"80 %"', '"none"', '"auto"', "[[1], [2]]"),
    *HOSTILE_TEXTS,
)
_KEYS = ("seed", "epochs", "name", "args", "x", '"a b"', '"é"', "model.name", "data.args.x", "__class__", '""', "own")


def mutated_toml(content: bytes, random: Random) -> bytes:
    """A TOML file with one to four changes, to its lines, or seldom to its bytes."""
    lines = content.decode().splitlines()
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(lines) + 1)
        line = lines[place % len(lines)] if lines else ""
        key, equals, _ = line.partition(" = ")
        change = random.randrange(9)
        if change == 0:
            lines.insert(place, f"{random.choice(_KEYS)} = {random.choice(_VALUES)}")
        elif change == 1 and lines:
            del lines[place % len(lines)]
        elif change == 2 and lines:
            lines.insert(place, random.choice(lines))
        elif change == 3:
            lines.insert(place, f"[{random.choice(_KEYS)}]")
        elif change == 4 and lines:
            random.shuffle(lines)
        elif equals and change < 8:
            lines[place % len(lines)] = f"{key} = {random.choice(_VALUES)}"
        elif equals:
            lines[place % len(lines)] = f"{random.choice(_KEYS)} = {line.partition(' = ')[2]}"
    changed = "\n".join(lines).encode() + b"\n"
    return mutated_bytes(changed, random) if random.random() < 0.15 else changed


def mutated_bytes(content: bytes, random: Random, *, keep: int = 0) -> bytes:
    """Bytes with one to five changes behind the first `keep`: bits, pieces cut out, repeated, overwritten, cut off."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 5)):
        if len(changed) <= keep:
            break
        place = random.randrange(keep, len(changed))
        length = min(random.choice((1, 2, 4, 8, 64, 1000)), len(changed) - place)
        change = random.randrange(6)
        if change == 0:
            changed[place] ^= 1 << random.randrange(8)
        elif change == 1:
            del changed[place : place + length]
        elif change == 2:
            changed[place:place] = changed[place : place + length]
        elif change == 3:
            changed[place : place + length] = random.choice((b"\0", b"\xff", b"\x7f", b"9")) * length
        elif change == 4:
            changed[place : place + length] = random.randbytes(length)
        else:
            del changed[place:]
    return bytes(changed)
