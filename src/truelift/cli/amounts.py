"""Sizes and times for people."""


def size(count: float) -> str:
    """Bytes in the unit that reads best.

    >>> size(900), size(12_345), size(3 * 2**30)
    ('900 B', '12.1 KiB', '3.0 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def time(seconds: float) -> str:
    """A length of time, in two units at most.

    >>> time(7.6), time(95), time(7_300), time(200_000)
    ('8 s', '1 min 35 s', '2 h 2 min', '2 d 8 h')
    """
    whole = round(max(0.0, min(seconds, 1e12)))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    if whole < 86_400:
        minutes = round(whole / 60)
        return _two(minutes // 60, "h", minutes % 60, "min")
    hours = round(whole / 3600)
    return _two(hours // 24, "d", hours % 24, "h")


def _two(many: int, large: str, few: int, small: str) -> str:
    return f"{many} {large} {few} {small}" if few else f"{many} {large}"
