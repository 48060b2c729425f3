"""Secrets to look for: the ways of writing one down, and the places where none may be."""

import base64
import codecs
import html
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib import parse

Write = Callable[[str], str]

WRITTEN: dict[str, Write] = {
    "plain": str,
    "upper": str.upper,
    "lower": str.lower,
    "mixed": str.swapcase,
    "json": json.dumps,
    "json, not ascii": lambda value: json.dumps(value, ensure_ascii=False),
    "json in json": lambda value: json.dumps(json.dumps({"a": value})),
    "html": html.escape,
    "html, quotes left": lambda value: html.escape(value, quote=False),
    "html, decimal quote": lambda value: html.escape(value).replace("&#x27;", "&#39;"),
    "html, all numbers": lambda value: "".join(f"&#{ord(letter)};" for letter in value),
    "html, all hex": lambda value: "".join(f"&#x{ord(letter):X};" for letter in value),
    "url": lambda value: parse.quote(value, safe=""),
    "url, lower": lambda value: parse.quote(value, safe="").replace("%C3%A9", "%c3%a9"),
    "url, slash left": parse.quote,
    "url twice": lambda value: parse.quote(parse.quote(value, safe=""), safe=""),
    "url, all": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "form": parse.quote_plus,
    "encodeURIComponent": lambda value: parse.quote(value, safe="!*'()"),
    "encodeURI": lambda value: parse.quote(value, safe="!*'();/?:@&=+$,#"),
    "hex": lambda value: value.encode().hex(),
    "upper hex": lambda value: value.encode().hex().upper(),
    "hex, spaced": lambda value: value.encode().hex(" "),
    "hex, colons": lambda value: value.encode().hex(":").upper(),
    "hex, escapes": lambda value: "".join(f"\\x{byte:02x}" for byte in value.encode()),
    "hex, list": lambda value: ", ".join(f"0x{byte:02x}" for byte in value.encode()),
    "hex of utf-16": lambda value: value.encode("utf-16-le").hex(),
    "unicode escapes": lambda value: "".join(f"\\u{ord(letter):04X}" for letter in value),
    "bytes as a list": lambda value: json.dumps(list(value.encode())),
    "bytes, packed list": lambda value: str(list(value.encode())).replace(" ", ""),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64, url": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64, one before": lambda value: base64.b64encode(b"x" + value.encode()).decode(),
    "base64, two before": lambda value: base64.b64encode(b"xy" + value.encode()).decode(),
    "basic auth": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    "base64 of utf-16": lambda value: base64.b64encode(value.encode("utf-16-le")).decode(),
    "base64 of utf-16be": lambda value: base64.b64encode(value.encode("utf-16-be")).decode(),
    "base32": lambda value: base64.b32encode(value.encode()).decode(),
    "base32, lower": lambda value: base64.b32encode(b"abc" + value.encode()).decode().lower(),
    "backwards": lambda value: value[::-1],
    "rot13": lambda value: codecs.encode(value, "rot13"),
    "utf-16 as text": lambda value: value.encode("utf-16-le").decode("utf-8", "replace"),
    "spaced": " ".join,
    "dashed": "-".join,
    "lines": "\n".join,
    "letters as a list": lambda value: ", ".join(value),
}


def traces(secret: str) -> set[bytes]:
    """What a file holds if somebody wrote the secret into it in one of these ways."""
    forms = {write(secret).strip('"{}[]<>') for write in WRITTEN.values()}
    # Of packed forms, edges depend on what stands beside; the middle gives them away.
    return {(form[4:-4] if len(form) > 24 else form).encode() for form in forms}


def in_files(paths: Iterable[Path], secrets: Iterable[str]) -> list[str]:
    """Which files hold a secret, and which one."""
    found = []
    for path in paths:
        content = path.read_bytes()
        found += [f"{path.name}: {secret}" for secret in secrets if in_bytes(content, secret)]
    return found


def in_bytes(content: bytes, secret: str) -> bool:
    """Whether a secret stands there, in any of the ways."""
    return any(trace in content for trace in traces(secret))


def in_processes(secrets: Iterable[str]) -> set[tuple[int, str, str]]:
    """The processes, other than this one, whose arguments or environment hold a secret."""
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            try:
                text = (folder / name).read_bytes()
            except OSError:
                continue
            found |= {
                (int(folder.name), name, mark) for mark in secrets if mark.encode() in text
            }
    return found
